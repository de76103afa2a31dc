"""The Kubernetes manifests: every field is one that KubeRay and Kubernetes know, and every command line one that our jobs
take."""

import copy
import importlib
import json
import shlex
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from jobs.cli import parse

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "cluster/kubernetes"
SCHEMAS = ROOT.parent / "shared/kuberay"
CUSTOM = {"RayCluster": "rayclusters", "RayJob": "rayjobs", "RayCronJob": "raycronjobs"}
SETTINGS = {
    "evaluate": "EvaluateSettings",
    "reevaluate": "ReevaluateSettings",
    "sweep": "SweepJobSettings",
    "train": "TrainJobSettings",
}

needs_schemas = pytest.mark.skipif(not SCHEMAS.is_dir(), reason="no KubeRay schemas beside the repository")


def documents():
    for file in sorted(MANIFESTS.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            yield pytest.param(document, id=f"{file.stem}-{document['kind']}")


def of_kind(*kinds):
    return [p for p in documents() if p.values[0]["kind"] in kinds]


def one(kind, name):
    (found,) = (p.values[0] for p in of_kind(kind) if p.values[0]["metadata"]["name"] == name)
    return found


def strict(schema):
    """The schema with every unknown name refused, which Kubernetes leaves to the server, and its `int or string`."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items() if key != "properties"}
    if "properties" in schema:
        found["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        found["type"] = ["integer", "string"]
        found.pop("anyOf", None)
    return found


def schema_of(kind):
    held = json.loads((SCHEMAS / f"{CUSTOM[kind]}.v1.schema.json").read_text())
    names = {"name": {"type": "string"}, "labels": {"type": "object"}, "annotations": {"type": "object"}}
    held["properties"]["metadata"] = {"type": "object", "properties": names}
    return strict(held)


def faults(schema, value):
    found = Draft202012Validator(schema).iter_errors(value)
    return [f"{'.'.join(map(str, fault.absolute_path))}: {fault.message}" for fault in found]


@needs_schemas
@pytest.mark.parametrize("document", of_kind(*CUSTOM))
def test_kuberay_knows_every_field(document):
    assert faults(schema_of(document["kind"]), document) == []


@needs_schemas
@pytest.mark.parametrize("document", of_kind(*CUSTOM))
def test_a_misspelt_field_would_be_found_at_any_depth(document):
    schema = schema_of(document["kind"])

    def objects(value, path=()):
        if isinstance(value, dict):
            if path:
                yield path
            for name, part in value.items():
                yield from objects(part, (*path, name))
        elif isinstance(value, list):
            for place, part in enumerate(value):
                yield from objects(part, (*path, place))

    # Maps from names of the user's to values have no fields.
    free = {"labels", "annotations", "matchLabels", "requests", "limits", "rayStartParams", "clusterSelector"}
    checked = 0
    for path in objects(document):
        if path[-1] in free:
            continue
        wrong = copy.deepcopy(document)
        place = wrong
        for step in path:
            place = place[step]
        place["mispelt"] = 1
        assert faults(schema, wrong), path
        checked += 1
    assert checked > 3


def pod_schema():
    cluster = json.loads((SCHEMAS / "rayclusters.v1.schema.json").read_text())
    return strict(cluster["properties"]["spec"]["properties"]["headGroupSpec"]["properties"]["template"])


@needs_schemas
def test_kubernetes_knows_every_field_of_the_plain_cronjob():
    document = one("CronJob", "fashion-nightly")
    cron = {
        "schedule", "timeZone", "concurrencyPolicy", "startingDeadlineSeconds", "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit", "suspend", "jobTemplate",
    }  # fmt: skip
    job = {"backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished", "template"}
    assert document["apiVersion"] == "batch/v1" and set(document) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(document["spec"]) <= cron and set(document["spec"]["jobTemplate"]) == {"spec"}
    spec = document["spec"]["jobTemplate"]["spec"]
    assert set(spec) <= job
    assert faults(pod_schema(), spec["template"]) == []


@needs_schemas
def test_kubernetes_knows_every_field_of_the_network_policy():
    document = one("NetworkPolicy", "fashion-ray")
    assert document["apiVersion"] == "networking.k8s.io/v1"
    assert set(document["spec"]) == {"podSelector", "policyTypes", "ingress"}
    cluster = schema_of("RayCluster")["properties"]["spec"]["properties"]
    rules = cluster["networkPolicy"]["properties"]["head"]["properties"]["ingressRules"]
    assert faults(rules, document["spec"]["ingress"]) == []


def specs():
    yield pytest.param(one("RayCluster", "fashion")["spec"], id="standing")
    yield pytest.param(one("RayCronJob", "fashion-nightly")["spec"]["jobTemplate"]["rayClusterSpec"], id="nightly")


@pytest.mark.parametrize("spec", list(specs()))
def test_a_cluster_asks_for_a_token_is_closed_and_grows_from_nothing(spec):
    assert spec["authOptions"]["mode"] == "token"
    assert spec["networkPolicy"]["mode"] == "DenyAllIngress" and spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert "egressRules" not in json.dumps(spec["networkPolicy"])  # KubeRay refuses them in this mode
    assert spec["enableInTreeAutoscaling"] and spec["autoscalerOptions"]["version"] == "v2"
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert all(group["minReplicas"] == group["replicas"] == 0 for group in spec["workerGroupSpecs"])
    assert [g["groupName"] for g in spec["workerGroupSpecs"]] == ["cpu", "gpu"]
    for pod in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        template = pod["template"]["spec"]
        assert template["securityContext"]["runAsNonRoot"]
        for container in template["containers"]:
            assert container["resources"]["requests"] == container["resources"]["limits"]


def test_the_nightly_cluster_is_the_standing_one_but_smaller():
    standing, nightly = (copy.deepcopy(p.values[0]) for p in specs())
    del standing["authOptions"]["secretName"]  # the nightly one's token is the operator's
    for own, other in zip(standing["workerGroupSpecs"], nightly["workerGroupSpecs"], strict=True):
        assert own.pop("maxReplicas") > other.pop("maxReplicas")
    for spec in (standing, nightly):
        del spec["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]  # how many there may be
    assert nightly == standing


def test_images_versions_and_labels_agree():
    text = {file.name: file.read_text() for file in MANIFESTS.glob("*.yaml")}
    images = {line.split("image:")[1].strip() for t in text.values() for line in t.splitlines() if " image:" in line}
    assert len(images) == 1
    (ray,) = (line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("ray=="))
    version = ray.removeprefix("ray==").split()[0]
    assert {p.values[0]["rayVersion"] for p in specs()} == {version}
    assert f"ray:{version}-" in (ROOT / "cluster/Dockerfile").read_text()
    for param in of_kind("RayJob"):
        job = param.values[0]["spec"]
        assert job["clusterSelector"]["ray.io/cluster"] == one("RayCluster", "fashion")["metadata"]["name"]
        assert job["submitterPodTemplate"]["metadata"]["labels"] == {"fashion/submitter": "true"}
    template = one("CronJob", "fashion-nightly")["spec"]["jobTemplate"]["spec"]["template"]
    assert template["metadata"]["labels"] == {"fashion/submitter": "true"}


def commands():
    for param in of_kind("RayJob"):
        yield pytest.param(param.values[0]["spec"]["entrypoint"], id=param.id)
    yield pytest.param(one("RayCronJob", "fashion-nightly")["spec"]["jobTemplate"]["entrypoint"], id="nightly")
    (container,) = one("CronJob", "fashion-nightly")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    yield pytest.param(container["args"][0], id="cronjob")


@pytest.mark.parametrize("command", list(commands()))
def test_a_job_takes_its_command_line(command):
    """Parsed by the job itself, with the image's /fashion being this checkout."""
    program, script, *arguments = shlex.split(command)
    assert program == "python" and script.startswith("/fashion/jobs/")
    assert (ROOT / script.removeprefix("/fashion/")).is_file()
    name = Path(script).stem
    settings = getattr(importlib.import_module(f"jobs.{name}"), SETTINGS[name])
    found = parse(settings, [a.replace("/fashion/jobs/", f"{ROOT}/jobs/") for a in arguments])
    assert found.run.startswith("s3://")


def test_both_nightly_jobs_do_the_same():
    nightly, cronjob = (p.values[0] for p in list(commands())[-2:])
    assert nightly == cronjob
    specs = one("RayCronJob", "fashion-nightly")["spec"], one("CronJob", "fashion-nightly")["spec"]
    assert specs[0]["schedule"] == specs[1]["schedule"] and specs[0]["timeZone"] == specs[1]["timeZone"]

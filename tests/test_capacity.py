"""What a cluster may grow to: declared by its file, and the same in every file that declares it."""

import re
from pathlib import Path

import pytest
import yaml

from fashion.capacity import DECLARED, computing, cores, larger, parse, total
from fashion.errors import InputError
from fashion.training.resources import decide_resources
from fashion.training.settings import ResourceSettings

ROOT = Path(__file__).resolve().parents[1]


def test_declared_machines_count_where_they_are_no_less_than_those_that_are_there():
    assert parse("2x16, 1x8+2") == [(16.0, 0.0), (16.0, 0.0), (8.0, 2.0)]
    assert larger([], "2x16,1x8+2") == parse("2x16,1x8+2")  # scaled to zero
    assert larger([(16.0, 0.0)], "2x16,1x8+2") == parse("2x16,1x8+2")
    assert larger([(64.0, 4.0)], "2x16") == [(64.0, 4.0)]  # declared for another cluster
    assert larger([(4.0, 0.0)], None) == [(4.0, 0.0)]
    assert total(parse("32x16,8x16+1")) == (640.0, 8.0)


@pytest.mark.parametrize("wrong", ["many", "2x", "2x16+", "2x16;1x8", "-1x4"])
def test_a_wrong_declaration_is_said(wrong):
    with pytest.raises(InputError, match=rf"^{DECLARED}: found .* expected COUNTxCPUS"):
        parse(wrong)


def aws():
    config = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())
    workers = [kind for name, kind in config["available_node_types"].items() if name != config["head_node_type"]]
    (start,) = (line for line in config["head_start_ray_commands"] if "ray start" in line)
    held = [(kind["max_workers"], kind["resources"]) for kind in workers]
    return re.search(rf"{DECLARED}=(\S+?);? ", start)[1], [(n, r["CPU"], r.get("GPU", 0)) for n, r in held]


def kubernetes(file):
    (document,) = yaml.safe_load_all((ROOT / "cluster/kubernetes" / file).read_text())
    spec = document["spec"]
    spec = spec["jobTemplate"]["rayClusterSpec"] if "jobTemplate" in spec else spec
    (head,) = spec["headGroupSpec"]["template"]["spec"]["containers"]
    (declared,) = (variable["value"] for variable in head["env"] if variable["name"] == DECLARED)
    groups = []
    for group in spec["workerGroupSpecs"]:
        (worker,) = group["template"]["spec"]["containers"]
        limits = worker["resources"]["limits"]
        groups.append((group["maxReplicas"], int(limits["cpu"]), int(limits.get("nvidia.com/gpu", 0))))
    return declared, groups


@pytest.mark.parametrize(
    "found", [aws(), kubernetes("cluster.yaml"), kubernetes("nightly.yaml")], ids=["aws", "cluster", "nightly"]
)
def test_a_cluster_file_declares_the_workers_that_it_allows(found):
    declared, groups = found
    assert parse(declared) == [(float(cpus), float(gpus)) for count, cpus, gpus in groups for _ in range(count)]


def test_cores_are_the_clusters_and_not_the_drivers(monkeypatch):
    monkeypatch.delenv("FASHION_OWN_RAY", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    head, small, large, gpu = (0.0, 0.0), (16.0, 0.0), (64.0, 0.0), (32.0, 4.0)
    assert cores([head, large, small]) == 16 and computing([head, large, small]) == 2
    assert cores([head, small, gpu]) == 32  # where the networks are
    assert cores([]) == 2 and computing([]) == 1
    held = [head, small, small]
    found = decide_resources(ResourceSettings(workers=2), cpus=32, gpus=0, cores=cores(held), machines=computing(held))
    assert found.threads == 16 and found.feed_actors == 16  # a worker a machine, at most 8 actors each
    few = decide_resources(ResourceSettings(workers=3), cpus=32, gpus=0, cores=cores(held), machines=computing(held))
    assert few.threads == 8
    monkeypatch.setenv("FASHION_OWN_RAY", "1")
    assert cores([(4.0, 0.0)]) == 2  # a laptop's Ray counts four


def test_a_feed_follows_its_trainers_where_others_may_have_what_becomes_free():
    def bounds(shared=True, cpus=8.0, **wanted):
        found = decide_resources(ResourceSettings(**wanted), cpus=cpus, gpus=0, cores=8, shared=shared)
        return found.feed_least, found.feed_actors, found.feed_most

    assert bounds() == (1, 7, 7) and bounds(feed_actors=2) == (1, 2, 7) and bounds(feed_most=3) == (1, 3, 3)
    assert bounds(feed_least=2, feed_actors=4, feed_most=5) == (2, 4, 5) and bounds(cpus=2) == (1, 1, 1)
    assert bounds(feed_actors=7, workers=4, worker_cpus=0.25, feed_cpus=1) == (1, 7, 7)
    assert bounds(shared=False) == (7, 7, 7) and bounds(shared=False, feed_actors=2) == (2, 2, 2)
    assert bounds(shared=False, feed_least=1, feed_actors=2, feed_most=3) == (1, 2, 3)


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (
            dict(feed_least=3, feed_actors=2),
            "resources.feed_least: found 3, expected at most the 2 of resources.feed_actors",
        ),
        (
            dict(feed_actors=3, feed_most=2),
            "resources.feed_actors: found 3, expected at most the 2 of resources.feed_most",
        ),
        (
            dict(feed_least=3, feed_most=2),
            "resources.feed_least: found 3, expected at most the 2 of resources.feed_most",
        ),
    ],
)
def test_fewest_and_most_feed_actors_are_in_order(wanted, line):
    with pytest.raises(InputError, match=f"^{line}$"):
        ResourceSettings(**wanted)

"""The files for `ray up` against Ray's own schema and EC2's own description of a machine, with no cloud."""

import copy
from pathlib import Path

import boto3
import pytest
import yaml
from botocore.validate import ParamValidator
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).resolve().parents[2]
AWS, OWN = ROOT / "ray_cluster.yaml", ROOT / "cluster/own_machines.yaml"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """prepare_config notes the worker addresses of own machines in Ray's temporary folder."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))


def read(file):
    return yaml.safe_load(file.read_text())


@pytest.mark.parametrize("file", [AWS, OWN], ids=["aws", "own"])
def test_ray_takes_the_file(file, home):
    validate_config(prepare_config(read(file)))


@pytest.mark.parametrize("file", [AWS, OWN], ids=["aws", "own"])
def test_a_wrong_name_would_be_found(file, home):
    config = prepare_config(read(file))
    with pytest.raises(ValidationError, match="max_wrokers"):
        validate_config({**config, "max_wrokers": 3})


def machine(kind):
    """`node_config` as Ray hands it to EC2."""
    service = boto3.client("ec2", region_name="us-west-2").meta.service_model
    shape = service.operation_model("RunInstances").input_shape
    wanted = {**kind["node_config"], "MinCount": 1, "MaxCount": 1}
    return ParamValidator().validate(wanted, shape)


@pytest.mark.parametrize("name", ["head", "cpu", "gpu"])
def test_ec2_takes_each_machine(name):
    kind = read(AWS)["available_node_types"][name]
    assert not machine(kind).has_errors(), machine(kind).generate_report()
    wrong = copy.deepcopy(kind)
    wrong["node_config"]["InstanceMarketOption"] = {}
    assert machine(wrong).has_errors()


def test_work_is_on_workers_that_come_from_nothing_and_the_head_has_none():
    config = read(AWS)
    kinds = config["available_node_types"]
    assert kinds[config["head_node_type"]]["resources"] == {"CPU": 0}
    workers = {name: kind for name, kind in kinds.items() if name != config["head_node_type"]}
    assert all(kind["min_workers"] == 0 for kind in workers.values())
    assert sum(kind["max_workers"] for kind in workers.values()) <= config["max_workers"]
    assert any("GPU" in kind["resources"] for kind in workers.values())
    assert any("GPU" not in kind["resources"] for kind in workers.values())


@pytest.mark.parametrize("file", [AWS, OWN], ids=["aws", "own"])
def test_every_ray_asks_for_the_token_and_only_the_head_itself_reaches_the_dashboard(file):
    config = read(file)
    assert "~/.ray/auth_token" in config["file_mounts"]
    (head,), (worker,) = (
        [line for line in config[f"{side}_start_ray_commands"] if "ray start" in line] for side in ("head", "worker")
    )
    assert "RAY_AUTH_MODE=token" in head and "RAY_AUTH_MODE=token" in worker
    assert "--dashboard-host=127.0.0.1" in head


def test_no_key_stands_in_a_file_and_the_machines_have_roles():
    for file in (AWS, OWN):
        text = file.read_text().lower()
        assert "aws_access_key_id" not in text and "aws_secret_access_key" not in text
    for kind in read(AWS)["available_node_types"].values():
        assert kind["node_config"]["IamInstanceProfile"]["Name"].startswith("fashion-ray-")


def test_the_image_has_the_ray_that_is_pinned():
    pins = (line.split()[0] for line in (ROOT / "requirements.txt").read_text().splitlines())
    (pinned,) = (line.partition("==")[2] for line in pins if line.startswith("ray=="))
    assert f"ray:{pinned}-py311" in read(AWS)["docker"]["image"]

"""A machine with other code, or with other libraries, is refused before anything is computed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import alike
from cluster.machines import answers
from fashion.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def told(monkeypatch):
    """What the other machines answer."""
    held = {}
    monkeypatch.setattr(alike, "others", lambda: list(held))
    monkeypatch.setattr(alike, "answers", lambda function, code, *, nodes: held)
    monkeypatch.setattr(alike, "sent", lambda: False)
    return held


def about_elsewhere(path):
    """The answer of a machine whose Python looks into `path` first."""
    code = "import json; from cluster.alike import about; print(json.dumps(about(True)))"
    env = os.environ | {"PYTHONPATH": f"{path}:{ROOT}"}
    ended = subprocess.run([sys.executable, "-c", code], env=env, cwd=path, capture_output=True, text=True, check=True)
    return json.loads(ended.stdout)


def test_machines_that_are_alike_pass(told, tmp_path):
    alike.check_alike()  # none
    told["blue"] = about_elsewhere(tmp_path)
    alike.check_alike()


def test_a_machine_is_asked(ray_running):
    """This one, by way of Ray."""
    found = answers(alike.about, True, nodes=ray_running.nodes())
    assert list(found.values()) == [alike.about(True)]


def test_another_torch_is_refused(told, tmp_path):
    for version, refused in (("9.9.9", True), (f"{alike.about(True)['torch']}+cpu", False)):
        metadata = tmp_path / version / "torch-1.dist-info/METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        told["blue"] = about_elsewhere(tmp_path / version)
        if not refused:  # for another kind of machine
            alike.check_alike()
            continue
        with pytest.raises(
            InputError, match=r"^blue has torch 9\.9\.9, and .* has .*; install the same on all machines"
        ):
            alike.check_alike()


def test_other_code_is_refused(told):
    told["blue"] = alike.about(True) | {"code": "0" * 16}
    with pytest.raises(InputError, match=r"^blue has code 0000000000000000, and .*--working-dir"):
        alike.check_alike()
    told["blue"] = ModuleNotFoundError("No module named 'cluster'")
    with pytest.raises(InputError, match=r"^blue cannot run this code .No module named 'cluster'.; install the same"):
        alike.check_alike()

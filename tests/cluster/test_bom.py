"""The software bill of materials is of what is pinned, and the same each time."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from cluster.bom import LOCK, NotAsPinned, bill, pinned

ROOT = Path(__file__).resolve().parents[2]


def test_every_pinned_package_of_this_platform_is_in_it_with_what_it_needs(tmp_path):
    made = subprocess.run(
        [sys.executable, ROOT / "cluster/bom.py", "--out", tmp_path / "bom.json"], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    held = json.loads((tmp_path / "bom.json").read_text())
    assert (held["bomFormat"], held["specVersion"], held["version"]) == ("CycloneDX", "1.6", 1)
    pins = pinned(LOCK.read_text())
    listed = {row["name"]: row for row in held["components"]}
    assert len(listed) == len(held["components"]) == len(pins) > 90
    for name, row in listed.items():
        assert row["version"] == pins[name] == version(name).partition("+")[0]
        assert row["purl"] == row["bom-ref"] == f"pkg:pypi/{name}@{pins[name]}" and row["type"] == "library"
    assert sum("licenses" in row for row in listed.values()) > 0.9 * len(listed)
    needs = {row["ref"]: row["dependsOn"] for row in held["dependencies"]}
    assert needs.keys() == {"fashion-retrieval", *(row["purl"] for row in listed.values())}
    assert {other for others in needs.values() for other in others} <= needs.keys()
    assert f"pkg:pypi/torch@{pins['torch']}" in needs[f"pkg:pypi/torchvision@{pins['torchvision']}"]
    assert json.dumps(bill(pins), indent=1) + "\n" == (tmp_path / "bom.json").read_text()


def test_what_is_not_as_pinned_is_refused():
    with pytest.raises(NotAsPinned, match=r"numpy: found .*, expected 0\.1"):
        bill({"numpy": "0.1"})
    with pytest.raises(NotAsPinned, match=r"no-such-package: not installed, expected 1"):
        bill({"no-such-package": "1"})


def test_packages_of_other_platforms_are_left_out():
    lock = "numpy==2.4.1 \\\n    --hash=sha256:0\npywin32==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:1\nA.b_c==3\n"
    assert pinned(lock) == {"numpy": "2.4.1", "a-b-c": "3"}

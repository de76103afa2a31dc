"""The wheel holds all that runs: every module, and every file beside the modules, which Python packaging forgets."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("fashion", "cluster", "jobs")
BUILD = "import sys, setuptools.build_meta as b; print(b.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> set[str]:
    """The files in a wheel built of a copy, as pip builds it; nothing is downloaded."""
    copy = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    out = tmp_path_factory.mktemp("wheel")
    done = subprocess.run([sys.executable, "-c", BUILD, out], cwd=copy, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(out / done.stdout.split()[-1]) as packed:
        return set(packed.namelist())


def files(folder: str) -> set[str]:
    found = {file.relative_to(ROOT).as_posix() for file in (ROOT / folder).rglob("*") if file.is_file()}
    return {name for name in found if "__pycache__" not in name}


def test_every_module_is_in_the_wheel(wheel):
    assert {name for package in PACKAGES for name in files(package) if name.endswith(".py")} <= wheel


@pytest.mark.parametrize("folder", ["fashion", "jobs/configs"])
def test_every_file_that_is_no_module_is_in_the_wheel(wheel, folder):
    beside = {name for name in files(folder) if not name.endswith(".py")}
    assert len(beside) >= 5 and beside <= wheel


def test_nothing_but_the_packages_and_what_names_them_is_in_the_wheel(wheel):
    tops = {name.split("/")[0] for name in wheel}
    assert {name for name in tops if not name.endswith(".dist-info")} == set(PACKAGES)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel)

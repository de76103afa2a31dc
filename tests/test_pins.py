"""What `make` and the clusters install: pinned to the byte, and no test's packages on a cluster."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RUNTIME, TESTS = "requirements.txt", "tests/requirements.txt"
_PIN = re.compile(r"^([\w.-]+)==([^\s;]+)[^\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


def pins(file: str) -> dict[str, tuple[str, str]]:
    """Package -> version and hashes, of all lines of the file."""
    text = (ROOT / file).read_text()
    assert _PIN.sub("", text) == ""  # nothing is there that is not pinned
    return {name + version: (version, hashes) for name, version, hashes in _PIN.findall(text)}


@pytest.mark.parametrize("file", [RUNTIME, TESTS])
def test_every_package_is_pinned_with_hashes(file):
    assert len(pins(file)) > 100


def test_tests_run_with_what_a_cluster_runs():
    runtime, tests = pins(RUNTIME), pins(TESTS)
    assert runtime.items() <= tests.items()


def test_a_cluster_gets_no_tests():
    names = {re.split("[=0-9]", name)[0] for name in pins(RUNTIME)}
    assert not names & {"pytest", "hypothesis", "moto", "ruff", "torchmetrics", "pytorch-metric-learning"}

"""Benchmark scripts run, at their smallest sizes: their figures mean nothing here, but that they are printed does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SMALLEST = {
    "feed.py": ["--images", "1", "--side", "150", "--size", "16", "--epochs", "4", "--rounds", "2"],
}
PRINTED = {
    "feed.py": [
        r"\d+ pictures an epoch of 150 pixels",
        r"stream / DataLoader, torchvision +\d+\.\d\d",
        "pause between",
    ],
}


@pytest.mark.parametrize("script", SMALLEST)
def test_a_benchmark_runs_and_prints_its_figures(script):
    run = subprocess.run(
        [sys.executable, ROOT / "tests/benchmarks" / script, *SMALLEST[script]],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    for line in PRINTED[script]:
        assert re.search(line, run.stdout), run.stdout

"""The jobs as a user runs them, for benchmarks of whole runs."""

import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_job(name: str, *arguments: str) -> None:
    """Run jobs/NAME.py in a process of its own; the benchmark ends with what it printed where it fails."""
    done = subprocess.run([sys.executable, ROOT / f"jobs/{name}.py", *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"jobs/{name}.py failed:\n{done.stdout}{done.stderr}")


def train_and_evaluate(data: str, run: Path, *settings: str) -> tuple[dict, float]:
    """What metrics.json says of a run with these settings, and the seconds of the training's command."""
    began = time.perf_counter()
    run_job("train", "--data", data, "--run", str(run), *settings)
    seconds = time.perf_counter() - began
    run_job("evaluate", "--data", data, "--run", str(run))
    return json.loads((run / "evaluation/metrics.json").read_text()), seconds


def recall_once(data: str, run: Path, *settings: str) -> dict:
    """`recall` by k and `seconds` of such a run; kept in its folder, and where they are there already it is not repeated."""
    done = run / "measured.json"
    if not done.exists():
        metrics, seconds = train_and_evaluate(data, run, *settings)
        done.write_text(json.dumps({"recall": metrics["recall"], "seconds": seconds}))
    return json.loads(done.read_text())

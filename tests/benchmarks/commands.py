"""The jobs as a user runs them, for benchmarks of whole runs."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_job(name: str, *arguments: str) -> None:
    """Run jobs/NAME.py in a process of its own; the benchmark ends with what it printed where it fails."""
    done = subprocess.run([sys.executable, ROOT / f"jobs/{name}.py", *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"jobs/{name}.py failed:\n{done.stdout}{done.stderr}")

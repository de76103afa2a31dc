"""SIGTERM, which `ray job stop` sends, ends a job quietly."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
JOB = """
import sys, time
from dataclasses import dataclass
from jobs.cli import main

@dataclass(frozen=True)
class Settings:
    \"\"\"Nothing.\"\"\"

def job(settings):
    try:
        print("runs", flush=True)
        time.sleep(60)
    finally:
        print("tidied", flush=True)

main(Settings, job)
"""


@pytest.mark.parametrize("interrupts", [signal.SIG_DFL, signal.SIG_IGN], ids=["in front", "in the background"])
def test_a_stopped_job_tidies_up_and_says_that_it_can_be_resumed(interrupts):
    job = subprocess.Popen(
        [sys.executable, "-c", JOB],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, interrupts),  # as a shell leaves it to its children
    )
    assert job.stdout.readline() == "runs\n"
    job.send_signal(signal.SIGTERM)
    said, wrong = job.communicate(timeout=30)
    assert (job.returncode, said) == (143, "tidied\n")
    assert wrong == "\nstopped; the same command goes on from here\n"

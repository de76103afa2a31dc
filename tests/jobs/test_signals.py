"""Ctrl-C and SIGTERM end a job at any moment: a word, a status of its own, and nobody is left behind."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from PIL import Image

from fashion.processes import with_environment
from jobs import raylet

ROOT = Path(__file__).resolve().parents[2]
MARK = "FASHION_TEST_MARK"


def start(job: list[str], folder: Path, **options) -> tuple[subprocess.Popen, str]:
    """A job that runs there, and the mark in the environment of it and all that comes of it."""
    mark = uuid.uuid4().hex
    command = [sys.executable, ROOT / "jobs" / job[0], *job[1:]]
    environment = os.environ | {MARK: mark, "PYTHONPATH": str(ROOT)}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **streams, **options), mark


def listens(pid: int) -> bool:
    """Whether the process has a handler of SIGTERM, which Python by itself has not."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.fixture
def interrupted(tmp_path):
    """A job in a session of its own -> its status and stderr, once the signal has come to all of its processes in the
    terminal's foreground, as Ctrl-C does, after a delay."""

    def run(job: list[str], number: int, delay: float, everyone: bool) -> tuple[int, str]:
        started, mark = start(job, tmp_path, start_new_session=True)
        while not listens(started.pid):  # before that Python itself starts, which is not ours to mend
            time.sleep(0.001)
        time.sleep(delay)
        (os.killpg if everyone else os.kill)(started.pid, number)
        _, said = started.communicate(timeout=60)
        until = time.monotonic() + 5
        while (left := with_environment(MARK, mark)) and time.monotonic() < until:
            time.sleep(0.1)
        names = [process.name() for process in left]
        for process in left:
            process.kill()
        assert not names, "processes outlived the job"
        return started.returncode, said

    return run


@pytest.fixture
def catalogue(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    lines = ["image,item,domain"]
    for i in range(40):
        Image.new("RGB", (32, 32), (6 * i, 0, 0)).save(folder / f"{i}.jpg")
        lines.append(f"{i}.jpg,item {i // 2},{('shop', 'consumer')[i % 2]}")
    (folder / "photos.csv").write_text("\n".join(lines))
    return ["prepare.py", "--benchmark", "manifest", "--source", str(folder), "--out", str(tmp_path / "table")]


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.5, 1.0, 3.0])
def test_ctrl_c_in_the_first_seconds_of_a_job_that_starts_ray(interrupted, catalogue, delay):
    status, said = interrupted(catalogue, signal.SIGINT, delay, everyone=True)
    assert (status, said) == (130, "\ninterrupted; the same command goes on from here\n")


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.5, 1.0, 3.0])
def test_ctrl_c_in_the_first_seconds_of_the_demo(interrupted, delay):
    status, said = interrupted(["train.py"], signal.SIGINT, delay, everyone=True)
    assert (status, said) == (130, "\ninterrupted; the same command goes on from here\n")


@pytest.mark.parametrize("delay", [0.5, 0.9, 1.2, 2.0])
def test_sigterm_in_the_first_seconds(interrupted, catalogue, delay):
    status, said = interrupted(catalogue, signal.SIGTERM, delay, everyone=False)
    assert (status, said) == (143, "\nstopped; the same command goes on from here\n")


def test_a_job_whose_raylet_is_killed_ends(tmp_path, catalogue):
    started, mark = start(catalogue, tmp_path)
    until = time.monotonic() + 60
    while (
        not (raylets := [p for p in with_environment(MARK, mark) if p.name() == "raylet"]) and time.monotonic() < until
    ):
        time.sleep(0.05)
    time.sleep(2)  # it is in use
    raylets[0].kill()
    _, said = started.communicate(timeout=60)
    assert started.returncode == 1
    if said:  # Ray's core may be quicker, says nothing, and leaves its workers to themselves
        assert said == raylet.SAID.decode()
        time.sleep(1)
        assert not with_environment(MARK, mark), "processes outlived the job"

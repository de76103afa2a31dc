"""A job whose own Ray is killed ends too, and says so: Ray's core ends it without a word, or its libraries wait for ever."""

import os
import threading
import time

import psutil

from fashion.processes import end_descendants, kill, ray_runs, with_environment

EVERY_S = 0.05  # Ray's core is quick too
SAID = (
    b"\nfailed: Ray's process on this machine, the raylet, was killed (is memory short?); the same command goes on from "
    b"here\n"
)
_over = threading.Event()


def end_with_raylet(status: int) -> None:
    """From now on the process ends with `status`, and a line, once the raylet that it has started is dead before Ray was
    shut down. It ends as if killed: what Ray has in its hands can no longer be tidied up."""
    stderr = os.dup(2)  # that of Ray's start is silent
    threading.Thread(target=_watch, args=(status, stderr), name="raylet-watch", daemon=True).start()


def no_longer() -> None:
    """The process is about to end, and Ray before it."""
    _over.set()


def _watch(status: int, stderr: int) -> None:
    raylet, used = None, False
    while True:
        time.sleep(EVERY_S if raylet else 0.5)
        if raylet is None:
            raylet, used = next((c for c in psutil.Process().children() if c.name() == "raylet"), None), False
        elif _lives(raylet):
            used = used or ray_runs()
        elif used and not ray_runs():
            raylet = None  # Ray was shut down
        else:
            break
    if _over.is_set():
        return
    kill(with_environment("RAY_RAYLET_PID", str(raylet.pid)))  # no longer descendants, and in no hurry
    os.write(stderr, SAID)
    end_descendants()  # last: without the rest of Ray its core ends this process too
    os._exit(status)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

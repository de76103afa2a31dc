"""A job whose own Ray is killed ends too, and says so: Ray's core ends it without a word, or its libraries wait for ever."""

import os
import sys
import threading
import time
from contextlib import suppress

import psutil

from fashion.processes import end_descendants, kill

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
            used = used or _ray_is_used()
        elif used and not _ray_is_used():
            raylet = None  # Ray was shut down
        else:
            break
    if _over.is_set():
        return
    os.write(stderr, SAID)
    end_descendants()
    kill(_orphans(raylet.pid))
    os._exit(status)


def _orphans(raylet: int) -> list[psutil.Process]:
    """What a raylet that is dead had started: nobody's descendants any more, and in no hurry to end."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or gone
            if process.environ().get("RAY_RAYLET_PID") == str(raylet):
                found.append(process)
    return found


def _ray_is_used() -> bool:
    used = getattr(sys.modules.get("ray"), "is_initialized", None)
    return used is not None and used()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

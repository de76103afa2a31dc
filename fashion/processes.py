"""What a process has started, and what that has started: nobody is left behind."""

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil


def descendants() -> set[psutil.Process]:
    """All processes that this one and its children have started, as far as their parents live."""
    return set(psutil.Process().children(recursive=True))


def with_environment(name: str, value: str) -> list[psutil.Process]:
    """The processes of this machine that were started with this variable, whoever their parent is by now."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or gone
            if process.environ().get(name) == value and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
    return processes


def end_descendants() -> None:
    """Kill all descendants. Each is stopped first, so that none starts another meanwhile."""
    seen: set[psutil.Process] = set()
    while new := descendants() - seen:
        seen |= new
        kill(new, psutil.Process.suspend)
    kill(seen)


def kill(processes: Iterable[psutil.Process], by: Callable[[psutil.Process], object] = psutil.Process.kill) -> None:
    """End those that still run."""
    for process in processes:
        with suppress(psutil.Error):  # it has ended by itself
            by(process)


def ray_runs() -> bool:
    """Whether this process uses a Ray; asked without importing it."""
    asked = getattr(sys.modules.get("ray"), "is_initialized", None)
    return asked is not None and bool(asked())

"""What a process has started, and what that has started: nobody is left behind."""

from collections.abc import Callable, Collection
from contextlib import suppress

import psutil


def descendants() -> set[psutil.Process]:
    """All processes that this one and its children have started, as far as their parents live."""
    return set(psutil.Process().children(recursive=True))


def end_descendants(spared: Collection[psutil.Process] = ()) -> None:
    """Kill all descendants but those, and theirs. Each is stopped first, so that none starts another meanwhile."""
    seen = set(spared)
    while new := descendants() - seen:
        seen |= new
        kill(new, psutil.Process.suspend)
    kill(seen - set(spared))


def kill(processes: Collection[psutil.Process], by: Callable[[psutil.Process], object] = psutil.Process.kill) -> None:
    """End those that still run."""
    for process in processes:
        with suppress(psutil.Error):  # it has ended by itself
            by(process)

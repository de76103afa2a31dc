"""The processes that a test has started."""

from contextlib import suppress

import psutil


def descendants() -> dict[psutil.Process, str]:
    """Each with its command line; one that ends meanwhile is none."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found[process] = " ".join(process.cmdline())
    return found

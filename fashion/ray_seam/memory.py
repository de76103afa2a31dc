"""What Ray does where a machine runs out of memory, and what its core prints of what it tries again."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from fashion.causes import short_of_memory

EVERY_S = 60.0  # a line, at most
TRIES = "RAY_task_oom_retries"
RETRIES = 10  # of what Ray ended for lack of memory; its own default is to try for ever
log = logging.getLogger(__name__)


def retries() -> int:
    """Of a task, or of an actor with nothing done in between; below 0: for ever."""
    return int(os.environ.get(TRIES, RETRIES))


@contextmanager
def quiet_core() -> Iterator[None]:
    """In this block it says a line, once a minute, where a machine is out of memory, of which it would print a page for each
    task; and the rest to those who debug: what cannot be mended by trying again is an error of its own."""
    from ray._private import worker

    last = -EVERY_S

    def say(data: dict[str, Any], *_: Any, **__: Any) -> None:
        nonlocal last
        text = "\n".join(data["lines"])
        log.debug(text)
        line = short_of_memory(text)
        if line and time.monotonic() > last + EVERY_S:
            last = time.monotonic()
            log.warning(f"note: {line}; what they did is tried again, up to {retries()} times")

    with patch.object(worker, "print_to_stdstream", say):
        yield

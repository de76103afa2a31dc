"""Progress on a terminal is a bar; in a log file it is a line now and then, without carriage returns."""

import logging
import sys
import time
from typing import Self

from tqdm import tqdm

LINE_EVERY_S = 60.0

log = logging.getLogger(__name__)


class Progress:
    """Progress of one piece of work, with a few figures beside it. Use as a context."""

    def __init__(self, title: str, *, unit: str, total: int | None = None):
        self.title, self.unit, self.total = title, unit, total
        self.done = 0
        self.said = time.monotonic()
        self.bar: tqdm | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def to(self, done: int, total: int | None = None, **figures: str) -> None:
        """So much is done by now."""
        self.total = total or self.total
        step, self.done = done - self.done, done
        if sys.stderr.isatty():
            if self.bar is None:
                self.bar = tqdm(
                    desc=self.title, total=self.total, unit=self.unit, leave=False, initial=done, dynamic_ncols=True
                )
            else:
                self.bar.update(step)
            if figures:
                self.bar.set_postfix(figures, refresh=False)
        elif time.monotonic() - self.said >= LINE_EVERY_S:
            self.said = time.monotonic()
            beside = "".join(f", {name} {value}" for name, value in figures.items())
            log.info("%s: %s of %s %s%s", self.title, done, self.total or "?", self.unit, beside)

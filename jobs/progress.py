"""Progress on a terminal is a bar; in a log file it is a line now and then, without carriage returns."""

import sys
import time

from tqdm import tqdm

from fashion.text import printable

LINE_EVERY_S = 60.0


class Progress:
    """Progress of one piece of work, with a few figures beside it. Use as a context."""

    def __init__(self, title: str, *, unit: str, total: int | None = None):
        self.title, self.unit, self.total = title, unit, total
        self.done = 0
        self.began = time.monotonic()
        self.said = self.began
        self.bar = None

    def __enter__(self):
        return self

    def __exit__(self, *fault):
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
            self.say(
                f"{self.title}: {done} of {self.total or '?'} {self.unit}"
                + "".join(f", {k} {v}" for k, v in figures.items())
            )

    def say(self, line: str) -> None:
        """A line that stays, above the bar."""
        line = printable(line)
        if self.bar is not None:
            self.bar.write(line, file=sys.stdout)
        else:
            print(line, flush=True)

"""A table that is drawn anew in its place on a terminal; in a log file, lines."""

import logging
import shutil
import sys

from fashion.text import printable

log = logging.getLogger(__name__)


class LiveTable:
    """The last lines of the output, which change; a terminal shows them, a file only gets what is said."""

    def __init__(self) -> None:
        self.shown = 0
        self.terminal = sys.stdout.isatty()

    def draw(self, lines: list[str]) -> None:
        if not self.terminal:
            return
        self.clear()
        width = shutil.get_terminal_size().columns
        print("\n".join(printable(line)[: width - 1] for line in lines), flush=True)
        self.shown = len(lines)

    def clear(self) -> None:
        if self.shown:
            print(f"\x1b[{self.shown}F\x1b[J", end="")
            self.shown = 0

    def say(self, line: str) -> None:
        """A line that stays, in a file or above the table's next drawing."""
        self.clear()
        log.info("%s", line)

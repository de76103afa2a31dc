"""What a pipeline says, through Python's logging: lines on the terminal, and a file of them all in the run's folder."""

import logging
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from tqdm import tqdm

from fashion.storage import Store
from fashion.text import printable

LOGS = "logs"  # folder in the run's
EVERY_S = 30.0  # a bucket cannot append: the whole file is written again, this often at most
_ROOT = logging.getLogger("fashion")
_LINE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class Terminal(logging.Handler):
    """Messages as plain lines on stdout, above what moves there; errors on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        file = sys.stderr if record.levelno >= logging.ERROR else sys.stdout
        with tqdm.external_write_mode(file=file):
            print(printable(self.format(record)), file=file, flush=True)


class Kept(logging.Handler):
    """All lines since the command began, and the folders that hold a file of them."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter(_LINE))
        self.lines: list[str] = []
        self.files: list[tuple[Store, str]] = []
        self.written = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        self.add(self.format(record))
        if self.files and time.monotonic() - self.written >= EVERY_S:
            self.write()

    def add(self, text: str) -> None:
        self.lines.append(printable(text) + "\n")

    def write(self) -> None:
        self.written = time.monotonic()
        data = "".join(self.lines).encode()
        for store, name in self.files:
            try:
                store.write(name, data)
            except OSError as fault:  # a job does not fail of its log
                self.add(f"{store.uri}/{name} could not be written: {fault}")


def show(*, debug: bool = False) -> None:
    """Print what the library says from now on, as the jobs do, and let `kept_log` keep it. `debug`: all of it, with where
    each line comes from."""
    for handler in [h for h in _ROOT.handlers if isinstance(h, Terminal | Kept)]:
        _ROOT.removeHandler(handler)
    terminal = Terminal(logging.DEBUG if debug else logging.INFO)
    terminal.setFormatter(_Debug(_LINE) if debug else logging.Formatter())
    _ROOT.setLevel(logging.DEBUG)
    _ROOT.propagate = False
    for handler in (terminal, Kept()):
        _ROOT.addHandler(handler)


class _Debug(logging.Formatter):
    """Lines that people read as they are ever; only details say where they come from."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record) if record.levelno <= logging.DEBUG else record.getMessage()


@contextmanager
def kept_log(store: Store, job: str) -> Iterator[None]:
    """A block whose log, from the command's first line on, is a file in `store`, also where it ends by an error. Nothing is
    written where nobody has asked for lines (`show`)."""
    kept = next((handler for handler in _ROOT.handlers if isinstance(handler, Kept)), None)
    if kept is None:
        yield
        return
    began = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S")
    file = (store, f"{LOGS}/{began} {job}.txt")
    kept.files.append(file)
    try:
        yield
    except BaseException:
        kept.add(traceback.format_exc().rstrip())
        raise
    finally:
        kept.write()
        kept.files.remove(file)

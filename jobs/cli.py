"""What every job's command line has in common: settings from `--config` and flags, one-line errors, exit status."""

import signal
import sys
import warnings
from argparse import ArgumentError
from collections.abc import Callable
from typing import TypeVar

from jsonargparse import ArgumentParser, set_parsing_settings

from fashion.errors import InputError

Settings = TypeVar("Settings")

INPUT_ERROR = 2
INTERRUPTED = 130
STOPPED = 128 + signal.SIGTERM


def main(settings: type[Settings], job: Callable[[Settings], int | None], arguments: list[str] | None = None) -> None:
    """Read `settings` (a dataclass) from the command line, run the job and exit with its status.

    What a user can mend is one line on stderr and exit status 2; Ctrl-C is exit status 130, and SIGTERM, which `ray job
    stop` and Kubernetes send, 143.
    """
    signals = []

    def stop(number: int, frame) -> None:
        signals.append(number)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what it puts in the background so
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)  # as Ctrl-C, which Ray's libraries know how to tidy up after

    signal.signal(signal.SIGTERM, stop)
    try:
        status = job(parse(settings, sys.argv[1:] if arguments is None else arguments)) or 0
    except InputError as fault:
        print(f"error: {' '.join(str(fault).split())}", file=sys.stderr)
        status = INPUT_ERROR
    except KeyboardInterrupt:
        print(f"\n{'stopped' if signals else 'interrupted'}; the same command goes on from here", file=sys.stderr)
        status = STOPPED if signals else INTERRUPTED
    sys.exit(status)


def parse(settings: type[Settings], arguments: list[str]) -> Settings:
    """The settings of a command line. Raises InputError with one line that names the setting."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parser = ArgumentParser(description=settings.__doc__, exit_on_error=False, allow_abbrev=False)
        parser.add_argument("--config", action="config", help="A YAML file of settings; flags after it override it.")
        parser.add_class_arguments(settings, as_group=False)
        try:
            namespace = parser.parse_args(arguments)
            values = parser.instantiate(namespace).as_dict()
        except (ArgumentError, TypeError) as fault:
            raise InputError(_one_line(fault)) from None
    values.pop("config", None)
    return settings(**values)


def _one_line(fault: Exception) -> str:
    text = " ".join(str(getattr(fault, "message", None) or fault).split())
    text = text.replace("Parser key", "setting").replace("Group '", "setting '")
    if "does not accept option" in text or "unrecognized" in text.lower():
        text += "; --help lists the settings"
    return text

"""What every job's command line has in common: settings from `--config` and flags, one-line errors, exit status."""

import logging
import re
import sys
import traceback
import warnings
from argparse import ArgumentError
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import yaml
from jsonargparse import ArgumentParser, set_parsing_settings

from fashion.causes import cause, line_of, of_outside
from fashion.errors import InputError
from fashion.pipelines import log
from fashion.setting_ranges import allowed_in
from fashion.setting_types import check_names, check_nulls, defaults_in, expected, missing_folder, names_in, types_of
from fashion.text import printable
from jobs import signals
from jobs.raylet import end_with_raylet

Settings = TypeVar("Settings")

FAILED, INPUT_ERROR = 1, 2
OPTIONS = ("help", "print_config")  # beside the settings
DEBUG = "--debug"
DEBUG_HELP = "say more, and print the traceback of an error beside its line"
CONFIG = "--config"
# How jsonargparse says that settings without a default are not given: all of them are folders.
_REQUIRED = re.compile(r"the following arguments are required: (\w+)")
# How jsonargparse says that a value is of another type than the setting.
_WRONG_TYPE = re.compile(r'Parser key "([\w.]+)".*\b(?:Given|Got) value: (.*)$')


def main(settings: type[Settings], job: Callable[[Settings], int | None], arguments: list[str] | None = None) -> None:
    """Read `settings` (a dataclass) from the command line, run the job and exit with its status.

    What a user can mend is one line on stderr and exit status 2; Ctrl-C is exit status 130, and SIGTERM, which `ray job
    stop` and Kubernetes send, 143. What storage, memory or another process failed of is one line and 1. --debug prints the
    traceback.
    """
    signals.end_on_signals()
    end_with_raylet(FAILED)
    arguments = sys.argv[1:] if arguments is None else arguments
    log.show(debug=DEBUG in arguments)
    try:
        parsed = parse(settings, [a for a in arguments if a != DEBUG])
        logging.getLogger("fashion.jobs").debug(f"{' '.join(sys.argv)}: {parsed}")
        status = job(parsed) or 0
    except Exception as fault:
        first = fault if type(fault) is RuntimeError else cause(fault)  # ours says in a line what it came of
        if not isinstance(first, InputError) and not of_outside(fault):
            raise  # of ours
        if DEBUG in arguments:
            traceback.print_exc()
        status = INPUT_ERROR if isinstance(first, InputError) else FAILED
        print(printable(_last_line(fault, first, debug=DEBUG in arguments)), file=sys.stderr)
    except KeyboardInterrupt:
        print(f"\n{signals.farewell()}", file=sys.stderr)
        status = signals.status()
        signals.leave_if_ray_was_starting(status)
    signals.hold(status)
    sys.exit(status)


def _last_line(fault: Exception, first: BaseException, *, debug: bool) -> str:
    """What is said of an error: `first` is what it came of."""
    if isinstance(first, InputError):
        return f"error: {' '.join(str(first).split())}"
    line = line_of(first)
    more = "" if debug or line == str(fault).strip() else f" ({DEBUG} prints all of it)"
    again = "; once that is mended, the same command goes on from here" if isinstance(first, OSError) else ""
    return f"failed: {line}{again}{more}"


def parse(settings: type[Settings], arguments: list[str]) -> Settings:
    """The settings of a command line. Raises InputError with one line that names the setting."""
    arguments = _with_configs(settings, arguments)
    ranges: dict = allowed_in(settings)  # type: ignore[arg-type]
    flags = [argument[2:].split("=")[0] for argument in arguments if argument.startswith("--")]
    check_names(settings, [flag for flag in flags if flag and flag not in (*OPTIONS, CONFIG[2:])])
    set_parsing_settings(docstring_parse_attribute_docstrings="help" in flags)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parser = ArgumentParser(
            description=settings.__doc__, epilog=f"{DEBUG}: {DEBUG_HELP}", exit_on_error=False, allow_abbrev=False
        )
        parser.add_argument(CONFIG, action="config", help="A YAML file of settings; flags after it override it.")
        parser.add_class_arguments(settings, as_group=False)
        for action in parser._actions:
            if action.dest in ranges:
                action.help = f"{action.help} Range: {ranges[action.dest]}."
        # Else they are those of a settings object that has decided by its own name what others follow from.
        parser.set_defaults(defaults_in(settings))
        try:
            namespace = parser.parse_args(arguments)
            check_nulls(settings, namespace.as_dict())
            values = parser.instantiate(namespace).as_dict()
        except (ArgumentError, TypeError) as fault:
            if missing := _REQUIRED.search(str(fault)):
                raise missing_folder(missing[1]) from None
            raise InputError(_one_line(fault, settings)) from None
    values.pop("config", None)
    return settings(**values)


def _with_configs(settings: type, arguments: list[str]) -> list[str]:
    """The arguments with the text of each file of settings in place of its name: it may lie wherever runs do."""
    read = []
    given = iter(arguments)
    for argument in given:
        name, equals, value = argument.partition("=")
        if name == CONFIG and (equals or (value := next(given, ""))):
            argument = f"{CONFIG}={_checked_text(settings, value)}"
        read.append(argument)
    return read


def _checked_text(settings: type, file: str) -> str:
    """The text of a file of settings, once its names are known to be settings'. Raises InputError."""
    try:
        text = _read(file).decode()
        values = yaml.safe_load(text)
    except OSError as fault:
        raise InputError(f"config: {file}: cannot be read ({fault.strerror or fault}); expected a YAML file") from None
    except (UnicodeDecodeError, yaml.YAMLError) as fault:
        raise InputError(f"config: {file}: not YAML: {' '.join(str(fault).split())}") from None
    if not isinstance(values or {}, dict):
        raise InputError(f"config: {file}: found {type(values).__name__}, expected settings by name (name: value)")
    check_names(settings, names_in(settings, values or {}))
    return text if values else "{}"


def _read(file: str) -> bytes:
    if "://" not in file:
        return Path(file).expanduser().read_bytes()
    from cluster.storage import check_storage
    from fashion.storage import Store

    check_storage("config", file)
    folder, _, name = file.rpartition("/")
    return Store(folder).read(name)


def _one_line(fault: Exception, settings: type) -> str:
    text = " ".join(str(getattr(fault, "message", None) or fault).split())
    kinds = types_of(settings)
    if (wrong := _WRONG_TYPE.search(text)) and wrong[1] in kinds:
        return f"{wrong[1]}: found {wrong[2]}, expected {expected(kinds[wrong[1]])}"
    text = text.replace("Parser key", "setting").replace("Group '", "setting '")
    if "does not accept option" in text or "unrecognized" in text.lower():
        text += "; --help lists the settings"
    return text

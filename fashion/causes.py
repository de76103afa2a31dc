"""What went wrong first, of an error that has crossed processes: Ray wraps it, or leaves no more of it than text."""

import builtins
import re
import sys
from collections.abc import Iterator

from fashion.errors import InputError, RunLost, TrainingDiverged

_KINDS = {kind.__name__: kind for kind in (InputError, TrainingDiverged, RunLost)}
_NAMED = re.compile(rf"\b({'|'.join(_KINDS)}): (.+)")
_LINE = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception|Interrupt|Invalid|Timeout)): (.+)$", re.MULTILINE)
# What Ray says of a machine whose processes it ends for lack of memory, on a page.
_LOW = re.compile(r"Memory on the node \(IP: ([^,]+),[^)]*\) was ([\d.]+)GB used / ([\d.]+)GB limit")
_WRAPPERS = {"UserCodeException", "RayTaskError", "WorkerGroupError", "ControllerError"}


def cause(fault: BaseException) -> BaseException:
    """What went wrong first: what has a name of ours wherever it was found, else the innermost error."""
    errors = list(_causes(fault))
    for error in errors:
        for kind in _KINDS.values():
            if isinstance(error, kind):
                return kind(_message(error))
    for error in errors:
        if named := _NAMED.search(str(error)):
            return _KINDS[named[1]](named[2])
    for error in errors:
        if line := short_of_memory(str(error)) or short_of_disk(str(error)):
            return MemoryError(line)
    return _of_text(errors[-1], str(fault)) if type(errors[-1]).__name__ in _WRAPPERS else errors[-1]


def short_of_memory(text: str) -> str | None:
    """In a line, what Ray says of a machine that runs out of memory; None of a text that says no such thing."""
    if not (found := _LOW.search(text)):
        return None
    machine, used, limit = found.groups()
    return (
        f"{machine} ran out of memory ({float(used):.1f} of {float(limit):.1f} GB in use), so Ray ended processes there; "
        "give Ray fewer of its CPUs, so that less is done there at a time, or take machines with more memory"
    )


def short_of_disk(text: str) -> str | None:
    """In a line, what Ray says of a machine that has no room for an object; None of a text that says no such thing."""
    if "local object store is full and the local disk's utilization is over capacity" not in " ".join(text.split()):
        return None
    return (
        "Ray's object store is full, and so is the disk that it spills to; free some of that disk (by default Ray's folder "
        "in /tmp), or let less wait in the store (of a training: resources.feed_memory)"
    )


def of_outside(fault: BaseException) -> bool:
    """Whether storage, memory or another process failed, and not our own code."""
    kinds: list[type[BaseException]] = [OSError, MemoryError, RuntimeError]
    kinds += [known for name, kind in (("ray.exceptions", "RayError"), ("pyarrow.lib", "ArrowException"))
              if (known := getattr(sys.modules.get(name), kind, None))]  # fmt: skip
    return isinstance(fault, tuple(kinds))


def line_of(fault: BaseException) -> str:
    """What it says, in a line: the last of several, but of storage the first, which Ray Data puts advice below."""
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()] or [type(fault).__name__]
    return lines[0] if isinstance(fault, OSError) else lines[-1]


def _causes(fault: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps, the outermost first."""
    seen: set[int] = set()
    left: list[BaseException | None] = [fault]
    while left:
        error = left.pop(0)
        if not isinstance(error, BaseException) or id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        left += [*(getattr(error, "worker_failures", None) or {}).values()]
        left += [getattr(error, name, None) for name in ("controller_failure", "_base_exc", "cause", "__cause__")]


def _of_text(error: BaseException, text: str) -> BaseException:
    """The first error that a traceback shows, which the others come of; `error` where it shows none."""
    for name, said in _LINE.findall(text):
        if name not in _WRAPPERS:
            kind = getattr(builtins, name, None)
            return kind(said) if kind in (OSError, MemoryError) else RuntimeError(f"{name}: {said}")
    return error


def _message(error: BaseException) -> str:
    """The message alone, of an error whose text Ray has put a traceback before."""
    named = _NAMED.findall(str(error))
    return named[-1][1] if named else str(error)

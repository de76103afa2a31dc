"""Ctrl-C and SIGTERM, from a job's first moment to its last: a word on the screen and an exit status of their own.

A job's script calls `end_on_signals` before it imports anything that takes time.
"""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from fashion.processes import end_descendants, ray_runs
from jobs import raylet

INTERRUPTED = 128 + signal.SIGINT
STOPPED = 128 + signal.SIGTERM
_IMPORTS = "<frozen importlib"

_stopped = False  # SIGTERM came


def end_on_signals() -> None:
    """Ctrl-C and SIGTERM are a KeyboardInterrupt from now on; while something is imported, the end of the process."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell leaves it to what it puts in the background
        signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    global _stopped
    _stopped = True
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)
    signal.raise_signal(signal.SIGINT)  # as Ctrl-C, which Ray's libraries know how to tidy up after


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _importing(frame) and not ray_runs():
        # A package that is half imported may swallow the exception, or go on in a state that nobody thought of.
        end_now()
    raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORTS):
            return True
        frame = frame.f_back
    return False


def end_now() -> None:
    """Say so and end, with nothing tidied up, and nobody left behind of a Ray that was starting."""
    os.write(2, f"\n{farewell()}\n".encode())
    _leave(status())


def leave_if_ray_was_starting(status: int) -> None:
    """A Ray that was interrupted while it started crashes when Python tidies up, and its helpers, whose parent would be
    killed with us, wait for minutes for a Ray that is not there."""
    if "ray" in sys.modules and not ray_runs():
        sys.stdout.flush()
        sys.stderr.flush()
        _leave(status)


def _leave(status: int) -> NoReturn:
    raylet.no_longer()
    end_descendants()
    os._exit(status)


def farewell() -> str:
    return f"{'stopped' if _stopped else 'interrupted'}; the same command goes on from here"


def status() -> int:
    return STOPPED if _stopped else INTERRUPTED


def hold(status: int) -> None:
    """The job has ended with `status`: from now on a signal ends the process with it, and without a word."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(status))

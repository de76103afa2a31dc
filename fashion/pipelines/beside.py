"""Work that is done while something else is waited for."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


def beside(function: Callable[..., Result], *arguments: Any) -> "Future[Result]":
    """The function's result, or what it raised, to come from a thread that no exit waits for."""
    result: Future[Result] = Future()

    def run() -> None:
        try:
            result.set_result(function(*arguments))
        except BaseException as fault:
            result.set_exception(fault)

    threading.Thread(target=run, daemon=True, name=function.__name__).start()
    return result

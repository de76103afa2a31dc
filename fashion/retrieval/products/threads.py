"""As many threads as the environment grants, each of which multiplies alone.

What is done with a product (to compare, count and list) takes about as long as the product, and NumPy does that in one
thread: so threads of ours share the queries, and the libraries below are held to one thread in each.
"""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

QUERY_ROWS, FEWEST_ROWS = 512, 64  # of a tile: larger ones leave the cache, smaller ones are slow
Answer = TypeVar("Answer")


def threads() -> int:
    """As many as the environment grants (Ray grants a task as many as its CPUs), or the machine's cores."""
    granted = os.environ.get("OMP_NUM_THREADS", "")
    return int(granted) if granted.isdigit() and int(granted) else os.cpu_count() or 1


def even_slices(total: int, longest: int) -> Iterator[slice]:
    """Neighbouring slices of nearly equal length that cover `total` rows."""
    count = -(-total // longest)
    for n in range(count):
        yield slice(n * total // count, (n + 1) * total // count)


def of_queries(work: Callable[[slice], Answer], queries: int) -> list[Answer]:
    """What `work` returns for slices of so many rows, in order."""
    rows = min(QUERY_ROWS, max(FEWEST_ROWS, -(-queries // threads())))
    pieces = list(even_slices(queries, rows))
    workers = min(len(pieces), threads())
    if workers <= 1:
        return [work(piece) for piece in pieces]
    with alone(), ThreadPoolExecutor(workers, initializer=_torch_alone) as pool:
        return list(pool.map(work, pieces))


@contextmanager
def alone() -> Iterator[None]:
    """The libraries below start no threads meanwhile: OpenBLAS is a third slower, or ten times, where several ask it and it
    may start others for each. Of several threads that enter the first one alone decides, until it leaves."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    try:
        with _blas().limit(limits=1, user_api="blas"):
            _torch_alone()
            yield
    finally:
        if torch:
            torch.set_num_threads(before)


@cache
def _blas() -> ThreadpoolController:
    """Of the libraries that are loaded, NumPy's among them: to look for them takes a few milliseconds."""
    return ThreadpoolController()


def _torch_alone() -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)

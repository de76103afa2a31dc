"""A gallery in parts: ask every part and join the answers; here in this process, one part in memory at a time."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

from fashion.retrieval.search.block import Block


class Opened(Protocol):
    """A part that has been read."""

    def block(self, view: Any) -> Block:
        """The columns of a view, in the same order whenever the part is opened."""


class Part(Protocol):
    """Where a piece of the gallery is. A view says which of its vectors and columns are ranked; None: the plain ones."""

    number: int

    def open(self, views: Sequence[Any]) -> Opened:
        """Read, once, what these views need."""


@dataclass(frozen=True, kw_only=True)
class MemoryPart:
    """A part that is in memory, and has one view."""

    columns: Block

    @property
    def number(self) -> int:
        return self.columns.number

    def open(self, views: Sequence[Any]) -> "MemoryPart":
        return self

    def block(self, view: Any = None) -> Block:
        return self.columns


Ask = Callable[[Part, Any], Any]  # (part, what is asked) -> answer
Join = Callable[[list, Any], Any]  # (answers, what is asked) -> one answer; in any order and grouping
MapReduce = Callable[..., Any]  # (ask, join, parts, asked, done=callable) -> the answer of all parts


def map_reduce_here(
    ask: Ask, join: Join, parts: Sequence[Part], asked, done: Callable[[int], None] = lambda parts: None
):
    """`done(n)`: n more parts have answered."""
    return _joined((ask(part, asked) for part in parts), join, asked, done)


@dataclass(frozen=True, kw_only=True)
class ThreadMapReduce:
    """Asks `threads` parts at a time in threads of this process, for storage that answers slower than the search does."""

    threads: int

    def __call__(
        self, ask: Ask, join: Join, parts: Sequence[Part], asked, done: Callable[[int], None] = lambda parts: None
    ):
        with ThreadPoolExecutor(self.threads) as pool:
            return _joined(self._answers(pool, ask, parts, asked), join, asked, done)

    def _answers(self, pool: ThreadPoolExecutor, ask: Ask, parts: Sequence[Part], asked) -> Iterator[Any]:
        running: deque[Future] = deque()
        for part in parts:
            running.append(pool.submit(ask, part, asked))
            if len(running) == self.threads:
                yield running.popleft().result()
        yield from (future.result() for future in running)


def _joined(answers: Iterator[Any], join: Join, asked, done: Callable[[int], None]):
    def fold(whole: list, answer) -> list:
        done(1)
        return [join([*whole, answer], asked)]

    return reduce(fold, answers, [])[0]

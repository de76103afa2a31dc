"""A gallery in parts: ask every part and join the answers; here in this process, one part in memory at a time."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from fashion.retrieval.search.block import Block


class Opened(Protocol):
    """A part that has been read."""

    def labels(self, view: Any, *, images: bool) -> tuple[pa.Array, pa.Array | None]:
        """The labels of a view's columns, and their images where they are asked for; without reading vectors."""

    def block(self, view: Any) -> Block:
        """The columns of a view, in the same order whenever the part is opened."""


class Part(Protocol):
    """Where a piece of the gallery is. A view says which of its vectors and columns are ranked; None: the plain ones."""

    @property
    def number(self) -> int: ...

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

    def labels(self, view: Any, *, images: bool) -> tuple[pa.Array, pa.Array | None]:
        return self.columns.labels, self.columns.images

    def block(self, view: Any = None) -> Block:
        return self.columns


Ask = Callable[[Part, Any, Any], Any]  # (part, what is asked, an answer of other parts or None) -> answer of this part
Join = Callable[[list, Any], Any]  # (answers, what is asked) -> one answer; in any order and grouping
MapReduce = Callable[..., Any]  # (ask, join, parts, asked, done=callable) -> the answer of all parts

FAN = 4  # answers that are joined at a time


def map_reduce_here(
    ask: Ask,
    join: Join,
    parts: Sequence[Part],
    asked: Any,
    done: Callable[[int], None] = lambda parts: None,
    earlier: Any = None,
) -> Any:
    """`done(n)`: n more parts have answered. `earlier`: an answer of other parts, which is joined too."""
    answers = [] if earlier is None else [earlier]
    for part in parts:
        answers.append(ask(part, asked, answers[0] if answers else None))
        done(1)
        if len(answers) > FAN:
            answers = [join(answers, asked)]
    return join(answers, asked)


@dataclass(frozen=True, kw_only=True)
class ThreadMapReduce:
    """Asks `threads` parts at a time in threads of this process, for storage that answers slower than the search does."""

    threads: int

    def __call__(
        self, ask: Ask, join: Join, parts: Sequence[Part], asked: Any, done: Callable[[int], None] = lambda parts: None
    ) -> Any:
        answers: list[Any] = []
        running: deque[Future] = deque()
        with ThreadPoolExecutor(self.threads) as pool:
            for part in parts:
                running.append(pool.submit(ask, part, asked, answers[0] if answers else None))
                if len(running) == self.threads:
                    answers = self._folded(join, asked, [*answers, running.popleft().result()], done)
            for answer in running:
                answers = self._folded(join, asked, [*answers, answer.result()], done)
        return answers[0]

    def _folded(self, join: Join, asked: Any, answers: list, done: Callable[[int], None]) -> list:
        done(1)
        return [join(answers, asked)]

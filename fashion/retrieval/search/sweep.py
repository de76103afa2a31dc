"""Ask every part of a gallery, and join the answers; here in this process, one part in memory at a time."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Protocol

import pyarrow as pa

from fashion.retrieval.search.block import Block


class Part(Protocol):
    """Where a block of the gallery is."""

    number: int

    def load(self) -> Block:
        """The block."""

    def labels(self, *, images: bool) -> tuple[pa.Array, pa.Array | None]:
        """The labels of the block's columns, and their images where they are asked for; without reading vectors."""


Ask = Callable[[Part, Any], Any]  # (part, what is asked) -> answer
Join = Callable[[list, Any], Any]  # (answers, what is asked) -> one answer; in any order and grouping
Sweep = Callable[..., Any]  # (ask, join, parts, asked, done=callable) -> the answer of all parts


def sweep_here(ask: Ask, join: Join, parts: Sequence[Part], asked, done: Callable[[int], None] = lambda parts: None):
    """`done(n)`: n more parts have answered."""

    def fold(answer, part):
        found = join([*answer, ask(part, asked)], asked)
        done(1)
        return [found]

    return reduce(fold, parts, [])[0]

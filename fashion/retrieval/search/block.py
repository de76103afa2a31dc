"""A part of the gallery in memory: its ranked columns, which are images, or items scored by their best image."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from fashion.retrieval.finite import check_finite
from fashion.retrieval.search.best import place_of
from fashion.retrieval.search.exact import exact_scores, lengths, near_scores
from fashion.retrieval.search.relevance import Queries, spans


@dataclass(frozen=True, kw_only=True)
class Block:
    """C columns over N vectors; every column has an id that no other column of the gallery has."""

    number: int  # of the part
    vectors: np.ndarray  # (N, D) float32
    ids: pa.Array  # (C,) decide between equal scores, ascending
    labels: pa.Array  # (C,) what queries look for: items or categories
    about: pa.Table | None = None  # (C,) what is told of a column that is listed
    images: pa.Array | None = None  # (C,) for annotated pairs
    starts: np.ndarray | None = None  # (C,) first vector of each column, ascending; None: a vector a column

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def longest(self) -> float:
        """The length of the longest vector. Raises InputError where a vector is not finite."""
        longest = float(lengths(self.vectors).max(initial=0.0))
        if not np.isfinite(longest):
            rows = np.arange(len(self.vectors))
            columns = rows if self.starts is None else np.searchsorted(self.starts, rows, side="right") - 1
            check_finite(self.vectors, "gallery image", self.ids.take(pa.array(columns)))
        return longest

    @cached_property
    def places(self) -> np.ndarray:
        """(C,) int64, ascending."""
        return place_of(self.number, np.arange(len(self)))

    @cached_property
    def told(self) -> pa.Table:
        """(C,) `id` and what is told of each column."""
        ids = pa.table({"id": self.ids})
        return ids if self.about is None else self.about.add_column(0, "id", self.ids)

    def scores(self, queries: Queries, query: np.ndarray, column: np.ndarray) -> np.ndarray:
        """(N,) float32 exact scores of pairs; a column of several vectors has the best one's."""
        scale = float(queries.lengths.max(initial=0.0)) * self.longest
        return self._scored(lambda a, b: exact_scores(queries.vectors, self.vectors, a, b, scale), query, column)

    def near_scores(self, queries: Queries, query: np.ndarray, column: np.ndarray) -> np.ndarray:
        """The same, up to the error of a float32 product."""
        return self._scored(lambda a, b: near_scores(queries.vectors, self.vectors, a, b), query, column)

    def _scored(self, score: Callable, query: np.ndarray, column: np.ndarray) -> np.ndarray:
        if self.starts is None:
            return score(query, column)
        counts = np.diff(np.r_[self.starts, len(self.vectors)])[column]
        scores = score(np.repeat(query, counts), spans(self.starts[column], counts))
        return np.maximum.reduceat(scores, np.cumsum(counts) - counts) if len(column) else scores

    def sample(self, columns: int) -> "Block":
        """About so many of the columns, evenly spaced."""
        chosen = np.unique(np.linspace(0, len(self) - 1, min(columns, len(self))).round().astype(np.int64))
        rows, starts = chosen, None
        if self.starts is not None:
            counts = np.diff(np.r_[self.starts, len(self.vectors)])[chosen]
            rows, starts = spans(self.starts[chosen], counts), np.cumsum(counts) - counts
        ids, labels = (values.take(pa.array(chosen)) for values in (self.ids, self.labels))
        return Block(number=self.number, vectors=self.vectors[rows], ids=ids, labels=labels, starts=starts)


@dataclass(frozen=True, kw_only=True)
class Held:
    """A part of the gallery that is in memory."""

    block: Block

    @property
    def number(self) -> int:
        return self.block.number

    def load(self) -> Block:
        return self.block

    def labels(self, *, images: bool) -> tuple[pa.Array, pa.Array | None]:
        return self.block.labels, self.block.images

"""A block of the gallery: its ranked columns, which are images, or items scored by their best image, and its matches."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.products.score import check_finite, exact_scores, lengths, near_scores
from fashion.retrieval.search.arrow import arrow_rows
from fashion.retrieval.search.merge import Columns, order_keys, place_of
from fashion.retrieval.search.queries import Queries, relate, spans


@dataclass(frozen=True, kw_only=True)
class Block:
    """C columns over N vectors; every column has an id that no other column of the gallery has."""

    number: int  # of the part
    vectors: np.ndarray  # (N, D) float32
    ids: pa.Array  # (C,) decide between equal scores, ascending
    labels: pa.Array  # (C,) what queries look for: items or categories
    about: pa.Table | None = None  # (C,) what a list says of a column beside its id
    images: pa.Array | None = None  # (C,) for annotated pairs
    side: str = "gallery image"  # what errors call a vector
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
            check_finite(self.vectors, self.side, self.ids.take(arrow_rows(columns)))
        return longest

    @cached_property
    def columns(self) -> Columns:
        """`id` and `about` of each column."""
        ids = pa.table({"id": self.ids})
        table = ids if self.about is None else self.about.add_column(0, "id", self.ids)
        return Columns(parts={self.number: (place_of(self.number, np.arange(len(self))), table)})

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


@dataclass(frozen=True, kw_only=True)
class Matches:
    """M pairs of a query and a column that matches it."""

    query: np.ndarray  # (M,) int64
    scores: np.ndarray  # (M,) float32, exact
    places: np.ndarray  # (M,) int64
    id_codes: np.ndarray  # (M,) int64, rows of `ids`
    ids: pa.Array | None  # of the matching columns, each once; None where there is none

    def __len__(self) -> int:
        return len(self.query)


_NONE = np.empty(0, np.int64)
NO_MATCHES = Matches(query=_NONE, scores=_NONE.astype(np.float32), places=_NONE, id_codes=_NONE, ids=None)


def find_matches(block: Block, queries: Queries) -> Matches:
    """The matches in one block."""
    match, _ = relate(queries, block.labels, block.images)
    columns, codes = np.unique(match.column, return_inverse=True)
    return Matches(
        query=match.query,
        scores=block.scores(queries, match.query, match.column),
        places=place_of(block.number, match.column),
        id_codes=codes,
        ids=block.ids.take(arrow_rows(columns)),
    )


def join_matches(parts: list[Matches]) -> Matches:
    """The matches of several blocks."""
    parts = [part for part in parts if len(part)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    ids = [part.ids for part in parts if part.ids is not None]  # all: each has matches
    offsets = np.cumsum([0, *map(len, ids[:-1])])
    codes = [part.id_codes + offset for part, offset in zip(parts, offsets, strict=True)]
    joined = {name: np.concatenate([getattr(p, name) for p in parts]) for name in ("query", "scores", "places")}
    return Matches(**joined, id_codes=np.concatenate(codes), ids=pa.concat_arrays(ids))


def in_order(matches: Matches) -> Matches:
    """Ordered by query, then score descending, then id ascending."""
    keys = order_keys(matches.query, matches.scores)
    order = np.argsort(keys, kind="stable")
    if (np.diff(keys[order]) == 0).any():
        ranks = pc.rank(matches.ids, "ascending").to_numpy()[matches.id_codes]
        order = np.lexsort((ranks, keys))
    return Matches(
        query=matches.query[order], scores=matches.scores[order], places=matches.places[order],
        id_codes=matches.id_codes[order], ids=matches.ids,
    )  # fmt: skip

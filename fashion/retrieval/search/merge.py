"""Lists of the best columns of each query: merged in any order to the same list, and as rectangles, a row a query."""

from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.search.arrow import arrow_rows, numbers

COLUMN_BITS = 40  # of a place: the number of the part stands above, the column in its block below
LISTED = 4  # rows that are known for each listed entry, up to which none is dropped


@overload
def place_of(number: int, columns: int) -> int: ...


@overload
def place_of(number: np.ndarray, columns: int) -> np.ndarray: ...


@overload
def place_of(number: int, columns: np.ndarray) -> np.ndarray: ...


def place_of(number: Any, columns: Any) -> Any:
    """(N,) int64: where columns of a block are in the gallery."""
    return (number << COLUMN_BITS) + columns


def order_keys(query: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(N,) int64 that sort by query, then score descending; equal for equal queries and scores."""
    bits = np.ascontiguousarray(scores, np.float32).view(np.int32)
    keys = query.astype(np.int64) << 33
    keys += 1 << 32
    keys -= np.where(bits >= 0, bits, np.int32(-(2**31)) - bits)
    return keys


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What is known of columns, by the number of their part: their places, ascending, and a table with a row each."""

    parts: dict[int, tuple[np.ndarray, pa.Table]]

    @classmethod
    def join(cls, several: "list[Columns]") -> "Columns":
        parts: dict[int, tuple[np.ndarray, pa.Table]] = {}
        for number, (places, table) in (entry for one in several for entry in one.parts.items()):
            if number in parts:
                places, first = np.unique(np.concatenate([parts[number][0], places]), return_index=True)
                table = pa.concat_tables([parts[number][1], table]).take(arrow_rows(first))
            parts[number] = places, table
        return cls(parts=parts)

    def __len__(self) -> int:
        return sum(len(places) for places, _ in self.parts.values())

    def only(self, places: np.ndarray) -> "Columns":
        """Of these ascending places alone."""
        kept: dict[int, tuple[np.ndarray, pa.Table]] = {}
        for number in sorted(self.parts):
            own, table = self.parts[number]
            some = places[slice(*np.searchsorted(places, place_of(np.array([number, number + 1]), 0)))]
            if len(some) < len(own):
                table = table.take(arrow_rows(np.searchsorted(own, some)))
            if len(some) or not kept:
                kept = {n: (at, rows) for n, (at, rows) in kept.items() if len(at)} | {number: (some, table)}
        return Columns(parts=kept)

    def listed(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The distinct places among these, ascending, and the row of each in them."""
        numbers = np.array(sorted(self.parts))
        own_places = [self.parts[number][0] for number in numbers.tolist()]
        starts = np.cumsum([0, *map(len, own_places)])
        part = np.searchsorted(numbers, places >> COLUMN_BITS)
        rows = starts[part] + places - np.array([own[0] if len(own) else 0 for own in own_places])[part]
        known = np.concatenate(own_places)
        gaps = np.flatnonzero((rows >= len(known)) | (known[np.minimum(rows, len(known) - 1)] != places))
        rows[gaps] = np.searchsorted(known, places[gaps])  # where a part has not all columns of its range
        listed = np.zeros(len(known), bool)
        listed[rows] = True
        return known[listed], (np.cumsum(listed) - 1)[rows]

    def table(self) -> pa.Table:
        """Of all, by place."""
        return pa.concat_tables([self.parts[number][1] for number in sorted(self.parts)])


@dataclass(frozen=True, kw_only=True)
class Best:
    """At most k columns for each query, ordered by query, then score descending, then id ascending."""

    query: np.ndarray  # (N,) int64
    scores: np.ndarray  # (N,) float32, exact
    places: np.ndarray  # (N,) int64
    columns: Columns  # `id` and what else is known of the listed columns, and of others

    def kth(self, queries: int, k: int) -> np.ndarray:
        """(Q,) the k-th score of each query, -inf where its list is shorter; `k` is at least 1."""
        kth = np.full(queries, -np.inf, np.float32)
        counts = np.bincount(self.query, minlength=queries)
        full = counts >= k
        kth[full] = self.scores[(np.cumsum(counts) - counts)[full] + k - 1]
        return kth


def choose(query: np.ndarray, scores: np.ndarray, places: np.ndarray, columns: Columns, k: int) -> Best:
    """The k best entries of each query."""
    keys = order_keys(query, scores)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    equal = keys[1:] == keys[:-1]
    if equal.any():
        tied = np.flatnonzero(np.r_[False, equal] | np.r_[equal, False])
        order[tied] = order[tied][np.lexsort((_id_ranks(columns, places[order[tied]]), keys[tied]))]
    counts = np.bincount(query, minlength=1)
    within = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = order[within < k]
    return Best(query=query[order], scores=scores[order], places=places[order], columns=columns)


def merge(lists: list[Best], k: int) -> Best:
    """The k best of several lists; none has an entry of another."""
    if len(lists) == 1:
        return lists[0]
    query, scores, places = (
        np.concatenate([getattr(part, name) for part in lists]) for name in ("query", "scores", "places")
    )
    best = choose(query, scores, places, Columns.join([part.columns for part in lists]), k)
    if len(best.columns) > LISTED * len(best.places):
        best = replace(best, columns=best.columns.only(np.unique(best.places)))
    return best


def _id_ranks(columns: Columns, places: np.ndarray) -> np.ndarray:
    """(N,) places of the ids of these columns in their ascending order."""
    distinct, back = np.unique(places, return_inverse=True)
    ids = columns.only(distinct).table()["id"]
    order = numbers(pc.sort_indices(ids))
    rank = np.empty(len(distinct), np.int64)
    rank[order] = np.arange(len(distinct))
    return rank[back]


@dataclass(frozen=True, kw_only=True)
class Lists:
    """The best columns of Q queries."""

    top: np.ndarray  # (Q, k) int64 rows of `table`, best first; -1 where fewer columns are ranked
    scores: np.ndarray  # (Q, k) float32, -inf where there is no column
    places: np.ndarray  # (n,) int64, of the columns, ascending
    columns: Columns  # at those places

    def cut(self, k: int) -> "Lists":
        """The first k of each list."""
        return replace(self, top=self.top[:, :k], scores=self.scores[:, :k])


def as_lists(best: Best, queries: int, k: int) -> Lists:
    """The same as rectangles."""
    top, scores = np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32)
    counts = np.bincount(best.query, minlength=queries)
    within = np.arange(len(best.query)) - np.repeat(np.cumsum(counts) - counts, counts)
    places, top[best.query, within] = best.columns.listed(best.places)
    scores[best.query, within] = best.scores
    return Lists(top=top, scores=scores, places=places, columns=best.columns.only(places))


def join_lists(parts: list[Lists]) -> Lists:
    """The lists of several groups of queries, one after the other; the columns are the listed ones."""
    top = np.concatenate([np.r_[part.places, -1][part.top] for part in parts])  # places; the last for -1
    columns = Columns.join([part.columns for part in parts])
    places, rows = columns.listed(top[top >= 0])
    top[top >= 0] = rows
    scores = np.concatenate([part.scores for part in parts])
    return Lists(top=top, scores=scores, places=places, columns=columns.only(places))

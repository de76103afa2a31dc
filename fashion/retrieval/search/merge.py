"""Lists of the best columns of each query: merged in any order to the same list, and as rectangles, a row a query."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.search.arrow import arrow_rows, numbers

COLUMN_BITS = 40  # of a place: the number of the part stands above, the column in its block below


def place_of(number: int, columns: np.ndarray) -> np.ndarray:
    """(N,) int64: where columns of a block are in the gallery."""
    return (number << COLUMN_BITS) + columns


def order_keys(query: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(N,) int64 that sort by query, then score descending; equal for equal queries and scores."""
    bits = np.ascontiguousarray(scores, np.float32).view(np.int32).astype(np.int64)
    rising = np.where(bits >= 0, bits, -(bits & 0x7FFFFFFF))
    return (query.astype(np.int64) << 33) + ((1 << 32) - rising)


@dataclass(frozen=True, kw_only=True)
class Best:
    """At most k columns for each query, ordered by query, then score descending, then id ascending."""

    query: np.ndarray  # (N,) int64
    scores: np.ndarray  # (N,) float32, exact
    rows: np.ndarray  # (N,) int64, of `places` and `table`
    places: np.ndarray  # (n,) int64, ascending
    table: pa.Table  # (n,) `id` and what else is known of the columns at those places

    def kth(self, queries: int, k: int) -> np.ndarray:
        """(Q,) the k-th score of each query, -inf where its list is shorter; `k` is at least 1."""
        found = np.full(queries, -np.inf, np.float32)
        counts = np.bincount(self.query, minlength=queries)
        full = counts >= k
        found[full] = self.scores[(np.cumsum(counts) - counts)[full] + k - 1]
        return found


def choose(
    query: np.ndarray, scores: np.ndarray, rows: np.ndarray, places: np.ndarray, table: pa.Table, k: int
) -> Best:
    """The k best entries of each query."""
    keys = order_keys(query, scores)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    equal = keys[1:] == keys[:-1]
    if equal.any():
        tied = np.flatnonzero(np.r_[False, equal] | np.r_[equal, False])
        order[tied] = order[tied][np.lexsort((_ranks(table["id"], rows[order[tied]]), keys[tied]))]
    counts = np.bincount(query, minlength=1)
    within = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = order[within < k]
    return Best(query=query[order], scores=scores[order], rows=rows[order], places=places, table=table)


def merge(lists: list[Best], k: int) -> Best:
    """The k best of several lists; none has an entry of another. The table has listed columns only."""
    places, rows = np.concatenate([part.places for part in lists]), []
    order = np.argsort(places, kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    for part in lists:
        rows.append(back[: len(part.places)][part.rows])
        back = back[len(part.places) :]
    query, scores = (np.concatenate([getattr(part, name) for part in lists]) for name in ("query", "scores"))
    table = pa.concat_tables([part.table for part in lists])
    if (order[1:] < order[:-1]).any():
        table = table.take(arrow_rows(order))
    return trim(choose(query, scores, np.concatenate(rows), places[order], table, k))


def trim(best: Best) -> Best:
    """The table has listed columns only; a place of several lists is there once."""
    listed = np.zeros(len(best.places), bool)
    first = np.searchsorted(best.places, best.places)  # of equal places
    listed[first[best.rows]] = True
    rows = (np.cumsum(listed) - 1)[first[best.rows]]
    return replace(
        best, rows=rows, places=best.places[listed], table=best.table.take(arrow_rows(np.flatnonzero(listed)))
    )


def _ranks(ids: pa.ChunkedArray, rows: np.ndarray) -> np.ndarray:
    """(N,) places of the ids of these rows in their ascending order."""
    distinct, back = np.unique(rows, return_inverse=True)
    order = numbers(pc.sort_indices(ids.take(arrow_rows(distinct))))
    rank = np.empty(len(distinct), np.int64)
    rank[order] = np.arange(len(distinct))
    return rank[back]


@dataclass(frozen=True, kw_only=True)
class Lists:
    """The best columns of Q queries."""

    top: np.ndarray  # (Q, k) int64 rows of `table`, best first; -1 where fewer columns are ranked
    scores: np.ndarray  # (Q, k) float32, -inf where there is no column
    places: np.ndarray  # (n,) int64, of the columns
    table: pa.Table  # (n,) `id` and what else is known of the columns

    def cut(self, k: int) -> "Lists":
        """The first k of each list."""
        return Lists(top=self.top[:, :k], scores=self.scores[:, :k], places=self.places, table=self.table)


def as_lists(best: Best, queries: int, k: int) -> Lists:
    """The same as rectangles."""
    top, scores = np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32)
    counts = np.bincount(best.query, minlength=queries)
    within = np.arange(len(best.query)) - np.repeat(np.cumsum(counts) - counts, counts)
    top[best.query, within] = best.rows
    scores[best.query, within] = best.scores
    return Lists(top=top, scores=scores, places=best.places, table=best.table)


def join_lists(parts: list[Lists]) -> Lists:
    """The lists of several groups of queries, one after the other; every listed column is in the table once."""
    starts = np.cumsum([0, *(len(part.places) for part in parts[:-1])])
    tops = [np.where(part.top < 0, -1, part.top + start) for part, start in zip(parts, starts, strict=True)]
    top = np.concatenate(tops)
    joined = np.concatenate([part.places for part in parts])
    listed_rows = np.zeros(len(joined) + 1, bool)  # the last for -1
    listed_rows[top] = True
    listed = np.flatnonzero(listed_rows[:-1])
    places, first, row = np.unique(joined[listed], return_index=True, return_inverse=True)
    back = np.full(len(joined) + 1, -1, np.int64)  # the last for -1
    back[listed] = row
    return Lists(
        top=back[top],
        scores=np.concatenate([part.scores for part in parts]),
        places=places,
        table=pa.concat_tables([part.table for part in parts]).take(arrow_rows(listed[first])),
    )

"""Lists of the best columns of each query, merged in any order to the same list."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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
    rows: np.ndarray  # (N,) int64, of `places` and `about`
    places: np.ndarray  # (n,) int64, ascending
    about: pa.Table  # (n,) `id` and what is told of the columns at those places

    def kth(self, queries: int, k: int) -> np.ndarray:
        """(Q,) the k-th score of each query, -inf where its list is shorter; `k` is at least 1."""
        found = np.full(queries, -np.inf, np.float32)
        counts = np.bincount(self.query, minlength=queries)
        full = counts >= k
        found[full] = self.scores[(np.cumsum(counts) - counts)[full] + k - 1]
        return found


def choose(
    query: np.ndarray, scores: np.ndarray, rows: np.ndarray, places: np.ndarray, about: pa.Table, k: int
) -> Best:
    """The k best entries of each query."""
    keys = order_keys(query, scores)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    equal = keys[1:] == keys[:-1]
    if equal.any():
        tied = np.flatnonzero(np.r_[False, equal] | np.r_[equal, False])
        order[tied] = order[tied][np.lexsort((_ranks(about["id"], rows[order[tied]]), keys[tied]))]
    counts = np.bincount(query, minlength=1)
    within = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = order[within < k]
    return Best(query=query[order], scores=scores[order], rows=rows[order], places=places, about=about)


def merge(lists: list[Best], k: int) -> Best:
    """The k best of several lists; none has an entry of another. Tells of listed columns only."""
    places, rows = np.concatenate([part.places for part in lists]), []
    order = np.argsort(places, kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    for part in lists:
        rows.append(back[: len(part.places)][part.rows])
        back = back[len(part.places) :]
    query, scores = (np.concatenate([getattr(part, name) for part in lists]) for name in ("query", "scores"))
    about = pa.concat_tables([part.about for part in lists])
    if (order[1:] < order[:-1]).any():
        about = about.take(pa.array(order))
    return trim(choose(query, scores, np.concatenate(rows), places[order], about, k))


def trim(best: Best) -> Best:
    """Tells of listed columns only; a place that several lists told of is there once."""
    listed = np.zeros(len(best.places), bool)
    first = np.searchsorted(best.places, best.places)  # of equal places
    listed[first[best.rows]] = True
    rows = (np.cumsum(listed) - 1)[first[best.rows]]
    return replace(best, rows=rows, places=best.places[listed], about=best.about.filter(pa.array(listed)))


def _ranks(ids: pa.ChunkedArray, rows: np.ndarray) -> np.ndarray:
    """(N,) places of the ids of these rows in their ascending order."""
    distinct, back = np.unique(rows, return_inverse=True)
    order = pc.sort_indices(ids.take(pa.array(distinct))).to_numpy()
    rank = np.empty(len(distinct), np.int64)
    rank[order] = np.arange(len(distinct))
    return rank[back]

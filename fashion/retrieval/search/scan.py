"""One pass of queries over a block: the best columns for each, and how many columns are better ranked than each match.

A fast product picks the columns whose place is in doubt or who may be listed; those alone are scored exactly. What the
thresholds are decides the time that takes, never the answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fashion.retrieval.products.fast import TILE_ROWS, WIDE_ROWS, Float32, products
from fashion.retrieval.products.precision import INT8
from fashion.retrieval.products.sieve import pays, sieve
from fashion.retrieval.products.threads import even_slices, of_queries
from fashion.retrieval.search.block import Block, Matches
from fashion.retrieval.search.count import BetterRanked, id_ranks
from fashion.retrieval.search.merge import Best, choose, merge, place_of
from fashion.retrieval.search.queries import Pairs, Queries, relate
from fashion.retrieval.search.tail import true_entries

WAITING = 4_000_000  # candidates held before they are scored exactly
LISTING, COUNTING = 1.3, 3.0  # times as fast that bfloat16 must multiply to pay for the pairs that it leaves in doubt
ALL = np.float32(np.finfo(np.float32).min)  # a threshold that every column passes, but not one that is left out


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is asked of every block."""

    queries: Queries
    k: int
    thresholds: np.ndarray  # (Q,) float32: columns with a lower score are not listed
    tails: np.ndarray  # (Q,) float32: matches below are counted one by one, for most columns lie below as well
    matches: Matches | None = None  # in order
    device: str | None = None
    precision: str | None = None  # of the fast products; None: what the machine does fastest

    def raised(self, best: Best) -> "Search":
        """The same for columns that are not in these lists, which hold the best of some others."""
        if not self.k:
            return self
        return replace(self, thresholds=np.maximum(self.thresholds, best.kth(len(self.queries), self.k)))


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """What a block, or several, answered."""

    best: Best
    better: np.ndarray  # (M,) int64, columns that rank before each match


def scan(block: Block, search: Search) -> Scanned:
    """Memory: the block, half as much again where products are of bfloat16, and a tile and its candidates a thread."""
    queries, matches = search.queries, search.matches
    if sifted := _sifted(block, search):
        return Scanned(best=sifted, better=np.zeros(0, np.int64))
    fast = products(
        queries.vectors, queries.lengths, block.vectors, block.longest,
        device=search.device, precision=search.precision, gain=COUNTING if matches else LISTING,
    )  # fmt: skip
    left_out = relate(queries, block.labels, block.images)[1] if queries.wanted is not None else None
    ranks = id_ranks(block, matches) if matches else None
    counts = np.zeros(len(matches) if matches else 0, np.int64)

    def some(rows: slice) -> Best:
        better = (
            BetterRanked(block, queries, matches, ranks, rows, fast, search.tails[rows]) if matches and ranks else None
        )
        listing = _Listing(block, search, rows, fast)
        lowest = np.minimum(listing.thresholds, better.lowest) if better else listing.thresholds
        negative = np.flatnonzero(lowest <= 0)
        mask = np.zeros((0, 0), bool)
        for columns, vectors in _tiles(block, WIDE_ROWS if better and len(better.tail) else TILE_ROWS * fast.packed):
            tile = fast.tile(rows, vectors)
            fast.sort_keys(tile, negative)
            if block.starts is not None:
                tile = np.maximum.reduceat(tile, block.starts[columns] - vectors.start, axis=1)
            if left_out is not None:
                _leave_out(tile, left_out, rows, columns, fast.lowest)
            if mask.shape[1] < tile.shape[1]:
                mask = np.zeros((len(tile), -(-tile.shape[1] // 8) * 8), bool)
            under = np.minimum(listing.under, better.under) if better else listing.under
            query, column, keys = _above(tile, under, mask)
            if better:
                better.add(tile, query, column, keys, columns.start)
            listing.add(query, column + columns.start, keys)
        if better:
            counts[better.span] = better.counts()
        return listing.close()

    lists = of_queries(some, len(queries))
    joined = {name: np.concatenate([getattr(one, name) for one in lists]) for name in ("query", "scores", "places")}
    known = block.columns if len(joined["places"]) else block.columns.only(joined["places"])
    return Scanned(best=Best(**joined, columns=known), better=counts)


def join_scanned(parts: list[Scanned], k: int) -> Scanned:
    """The answer of several blocks together, of the same queries and matches."""
    return Scanned(best=merge([part.best for part in parts], k), better=np.sum([part.better for part in parts], axis=0))


def _sifted(block: Block, search: Search) -> Best | None:
    """The best columns by a sieve of 8 bits; None where it does not pay, or more is asked for than lists with thresholds."""
    queries, k = search.queries, search.k
    if search.matches or not k or block.starts is not None or queries.wanted is not None or search.device == "cuda":
        return None
    wanted = search.precision == INT8 or (search.precision is None and pays(len(queries)))
    if not wanted or (search.thresholds <= ALL).any():
        return None
    made = sieve(queries.vectors, queries.lengths, block.longest)
    passing = made.passing(block.vectors, block.longest, search.thresholds) if made else None
    if passing is None:
        return None
    query, column = passing
    scores = block.scores(queries, query, column)
    kept = np.flatnonzero(scores >= search.thresholds[query])
    query, scores, places = query[kept], scores[kept], place_of(block.number, column[kept])
    columns = block.columns if len(kept) else block.columns.only(places)
    return choose(query, scores, places, columns, k)


class _Listing:
    """The best columns of one block for some of the queries."""

    def __init__(self, block: Block, search: Search, rows: slice, fast: Float32):
        self.block, self.search, self.rows, self.fast = block, search, rows, fast
        self.errors = fast.errors[rows]
        self.thresholds = search.thresholds[rows] - self.errors
        self.under = fast.under(self.thresholds)
        self.waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.count = 0
        nothing = np.empty(0, np.int64)
        self.best = self._chosen(nothing, nothing)

    def add(self, query: np.ndarray, column: np.ndarray, keys: np.ndarray) -> None:
        wanted = np.flatnonzero(keys > self.under[query])
        self.waiting.append((query[wanted], column[wanted], keys[wanted]))
        self.count += len(wanted)
        if self.count > WAITING:
            self._fold()

    def close(self) -> Best:
        self._fold()
        return self.best

    def _fold(self) -> None:
        if not self.count:
            return
        query, column, keys = (np.concatenate(parts) for parts in zip(*self.waiting, strict=True))
        values = self.fast.values(keys)
        kept = self._worth(query, values, self.errors[query] + self.fast.rounding(values))
        self.best = self._chosen(query[kept], column[kept], self.best)
        self.waiting, self.count = [], 0
        # From now on a column must reach the last of the list.
        kth = self.best.kth(self.rows.stop, self.search.k)[self.rows]
        self.thresholds = np.maximum(self.thresholds, kth - self.errors)
        self.under = self.fast.under(self.thresholds)

    def _chosen(self, query: np.ndarray, column: np.ndarray, earlier: Best | None = None) -> Best:
        block, query = self.block, query + self.rows.start
        scores, places = block.scores(self.search.queries, query, column), place_of(block.number, column)
        if earlier:
            query = np.concatenate([earlier.query, query])
            scores = np.concatenate([earlier.scores, scores])
            places = np.concatenate([earlier.places, places])
        return choose(query, scores, places, block.columns, self.search.k)

    def _worth(self, query: np.ndarray, values: np.ndarray, errors: np.ndarray) -> np.ndarray:
        """Rows of the candidates, ordered by query, without those that k others of the query surely beat. `errors`: of
        the values."""
        k = self.search.k
        order = np.argsort(query, kind="stable")
        counts = np.bincount(query, minlength=len(self.thresholds))
        starts = np.cumsum(counts) - counts
        worth = np.ones(len(order), bool)
        for q in np.flatnonzero(counts > 4 * k):
            some = order[starts[q] : starts[q] + counts[q]]
            surely = values[some] - errors[some]
            worth[starts[q] : starts[q] + counts[q]] = values[some] + errors[some] >= np.partition(surely, -k)[-k]
        return order[worth]


def _above(tile: np.ndarray, under: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and key of every entry above its row's key, ordered by row.
    `mask`: memory at least as wide as the tile, in whole words."""
    width = tile.shape[1]
    np.greater(tile, under[:, None], out=mask[:, :width])
    mask[:, width:] = False
    row, column = true_entries(mask.view(np.uint64))
    return row, column, tile.reshape(-1)[row * width + column]


def _leave_out(tile: np.ndarray, left_out: Pairs, rows: slice, columns: slice, lowest: np.number) -> None:
    low, high = np.searchsorted(left_out.query, (rows.start, rows.stop))
    query, column = left_out.query[low:high] - rows.start, left_out.column[low:high] - columns.start
    here = (column >= 0) & (column < columns.stop - columns.start)
    tile[query[here], column[here]] = lowest


def _tiles(block: Block, longest: int) -> Iterator[tuple[slice, slice]]:
    """Columns and their vectors, about `longest` vectors each."""
    if block.starts is None:
        for columns in even_slices(len(block), longest):
            yield columns, columns
        return
    ends = np.r_[block.starts[1:], len(block.vectors)]
    start = 0
    while start < len(block):
        first = int(block.starts[start])
        stop = max(start + 1, int(np.searchsorted(ends, first + longest, side="right")))
        yield slice(start, stop), slice(first, int(ends[stop - 1]))
        start = stop

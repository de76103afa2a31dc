"""One pass of queries over a block: its best columns for each, and how many of its columns rank before each match.

A fast product picks the columns whose place is in doubt or who may be listed; those alone are scored exactly. What the
floors are decides the time that takes, never the answer.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from fashion.retrieval.search.best import Best, choose, merge, trim
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.exact import error_bound
from fashion.retrieval.search.matches import Matches
from fashion.retrieval.search.precede import Precede, id_ranks
from fashion.retrieval.search.product import QUERY_ROWS, TILE_ROWS, WIDE_ROWS, even_slices, product
from fashion.retrieval.search.relevance import Pairs, Queries, relate

WAITING = 4_000_000  # candidates held before they are scored exactly
ALL = np.float32(np.finfo(np.float32).min)  # a floor that every column passes, but not one that is left out


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is asked of every block."""

    queries: Queries
    k: int
    floors: np.ndarray  # (Q,) float32: columns with a lower score are not listed
    depths: np.ndarray  # (Q,) float32: matches below are counted one by one, for most columns lie below as well
    matches: Matches | None = None  # in order
    device: str | None = None


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """What a block, or several, answered."""

    best: Best
    before: np.ndarray  # (M,) int64, columns that rank before each match


def scan(block: Block, search: Search) -> Scanned:
    """Memory: the block, and a tile of scores and the candidates for each thread."""
    queries, matches = search.queries, search.matches
    errors = error_bound(queries.vectors.shape[1], queries.lengths, block.longest).astype(np.float32)
    left_out = relate(queries, block.labels, block.images)[1] if queries.wanted is not None else None
    multiply = product(queries.vectors, block.vectors, search.device)
    ranks = id_ranks(block, matches) if matches else None
    before = np.zeros(len(matches) if matches else 0, np.int64)

    def some(rows: slice) -> Best:
        precede = Precede(block, queries, matches, ranks, rows, errors[rows], search.depths[rows]) if matches else None
        listing = _Listing(block, search, rows, errors[rows])
        for columns, vectors in _tiles(block, WIDE_ROWS if precede and len(precede.deep) else TILE_ROWS):
            scores = multiply(rows, vectors)
            if block.starts is not None:
                scores = np.maximum.reduceat(scores, block.starts[columns] - vectors.start, axis=1)
            if left_out is not None:
                _mask(scores, left_out, rows, columns)
            floors = np.minimum(listing.floors, precede.floors) if precede else listing.floors
            query, column, found = _above(scores, floors)
            if precede:
                found = precede.add(scores, query, column, found, columns.start)
            listing.add(query, column + columns.start, found)
        if precede:
            before[precede.span] = precede.counts()
        return listing.close()

    pieces = list(even_slices(len(queries), QUERY_ROWS))
    if threads() == 1:
        lists = [some(rows) for rows in pieces]
    else:
        with ThreadPoolExecutor(threads()) as pool:
            lists = list(pool.map(some, pieces))
    joined = {name: np.concatenate([getattr(one, name) for one in lists]) for name in ("query", "scores", "rows")}
    return Scanned(best=trim(Best(**joined, places=block.places, about=block.told)), before=before)


def threads() -> int:
    """As many as the environment grants (Ray grants a task as many as its CPUs), or the machine's cores."""
    granted = os.environ.get("OMP_NUM_THREADS", "")
    return int(granted) if granted.isdigit() and int(granted) else os.cpu_count() or 1


def join_scanned(parts: list[Scanned], k: int) -> Scanned:
    """The answer of several blocks together."""
    return Scanned(best=merge([part.best for part in parts], k), before=sum(part.before for part in parts))


class _Listing:
    """The best columns of one block for some of the queries."""

    def __init__(self, block: Block, search: Search, rows: slice, errors: np.ndarray):
        self.block, self.search, self.rows, self.errors = block, search, rows, errors
        self.floors = search.floors[rows] - errors
        self.waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.held = 0
        nothing = np.empty(0, np.int64)
        self.best = self._chosen(nothing, nothing)

    def add(self, query: np.ndarray, column: np.ndarray, scores: np.ndarray) -> None:
        wanted = np.flatnonzero(scores >= self.floors[query])
        self.waiting.append((query[wanted], column[wanted], scores[wanted]))
        self.held += len(wanted)
        if self.held > WAITING:
            self._fold()

    def close(self) -> Best:
        self._fold()
        return self.best

    def _fold(self) -> None:
        if not self.held:
            return
        query, column, fast = (np.concatenate(parts) for parts in zip(*self.waiting, strict=True))
        kept = self._worth(query, fast)
        self.best = self._chosen(query[kept], column[kept], self.best)
        self.waiting, self.held = [], 0
        # From now on a column must reach the last of the list.
        kth = self.best.kth(self.rows.stop, self.search.k)[self.rows]
        self.floors = np.maximum(self.floors, kth - self.errors)

    def _chosen(self, query: np.ndarray, column: np.ndarray, held: Best | None = None) -> Best:
        block, query = self.block, query + self.rows.start
        entries = query, block.scores(self.search.queries, query, column), column
        if held:
            entries = (np.concatenate(pair) for pair in zip((held.query, held.scores, held.rows), entries, strict=True))
        return choose(*entries, block.places, block.told, self.search.k)

    def _worth(self, query: np.ndarray, fast: np.ndarray) -> np.ndarray:
        """Rows of the candidates, ordered by query, without those that k others of the query surely beat."""
        k = self.search.k
        order = np.argsort(query, kind="stable")
        counts = np.bincount(query, minlength=len(self.floors))
        starts = np.cumsum(counts) - counts
        worth = np.ones(len(order), bool)
        for q in np.flatnonzero(counts > 4 * k):
            some = slice(starts[q], starts[q] + counts[q])
            scores = fast[order[some]]
            worth[some] = scores >= np.partition(scores, -k)[-k] - 2 * self.errors[q]
        return order[worth]


def _above(scores: np.ndarray, floors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and score of every entry that reaches its row's floor, ordered by row."""
    width = scores.shape[1]
    at = np.flatnonzero(scores >= floors[:, None])
    ends = np.searchsorted(at, np.arange(len(scores) + 1) * width)
    row = np.repeat(np.arange(len(scores)), np.diff(ends))
    return row, at - row * width, scores.reshape(-1)[at]


def _mask(scores: np.ndarray, left_out: Pairs, rows: slice, columns: slice) -> None:
    low, high = np.searchsorted(left_out.query, (rows.start, rows.stop))
    query, column = left_out.query[low:high] - rows.start, left_out.column[low:high] - columns.start
    here = (column >= 0) & (column < columns.stop - columns.start)
    scores[query[here], column[here]] = -np.inf


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

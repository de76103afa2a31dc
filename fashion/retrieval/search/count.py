"""Count the better-ranked columns of each match, from fast products and exact scores of the pairs in doubt."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.products.fast import Float32
from fashion.retrieval.products.score import error_bound
from fashion.retrieval.search.block import Block, Matches
from fashion.retrieval.search.merge import order_keys, place_of
from fashion.retrieval.search.queries import Queries, spans
from fashion.retrieval.search.tail import TailCounts

FEW = 32  # matches of the tail of a query up to which counting whole rows is quicker than looking at every column
INDEX_BITS = 20  # of a key: the row stands above, then 32 bits for the product, and the entry's place below
WAITING = 500_000  # entries that are looked at together, at most 2 ** INDEX_BITS
IdRanks = Callable[[], tuple[np.ndarray, np.ndarray]]


def id_ranks(block: Block, matches: Matches) -> IdRanks:
    """Places of the block's columns' ids and of the matches' ids in their common ascending order, when first asked for;
    equal ids have equal places."""

    @cache
    def ranks() -> tuple[np.ndarray, np.ndarray]:
        ids = pa.concat_arrays([block.ids, matches.ids])
        order = pc.rank(ids, "ascending", tiebreaker="dense").to_numpy().astype(np.int64)
        return order[: len(block)], order[len(block) :][matches.id_codes]

    return ranks


def near_errors(block: Block, queries: Queries, rows: slice) -> np.ndarray:
    """(b,) float32, of `Block.near_scores` of these queries."""
    return error_bound(queries.vectors.shape[1], queries.lengths[rows], block.longest).astype(np.float32)


class BetterRanked:
    """The counts of some queries' matches over the tiles of one block.

    Matches of a high score are counted among the few columns above a threshold; those of the tail by comparing whole rows.
    """

    def __init__(
        self, block: Block, queries: Queries, matches: Matches, ranks: IdRanks, rows: slice, fast: Float32,
        tails: np.ndarray,
    ):  # fmt: skip
        """`rows`: of the queries that are looked at; `tails`: of these."""
        self.block, self.queries, self.ranks, self.start, self.fast = block, queries, ranks, rows.start, fast
        self.near_errors = near_errors(block, queries, rows)
        at = np.searchsorted(matches.query, np.arange(rows.start, rows.stop + 1))
        self.span, begin = slice(int(at[0]), int(at[-1])), at[:-1] - at[0]
        self.query = matches.query[self.span] - rows.start
        self.scores = matches.scores[self.span]
        self.places = matches.places[self.span]
        self.keys = order_keys(self.query, self.scores)
        errors, b = fast.errors[rows], rows.stop - rows.start
        own, error = self.scores, errors[self.query]
        low, high = fast.under(own - error), fast.over(own + error)
        in_tail = self.scores < tails[self.query]
        in_tail &= (np.bincount(self.query[in_tail], minlength=b) <= FEW)[self.query]
        self.tail = np.flatnonzero(in_tail)
        self.tail_counts = TailCounts(self.query[in_tail], low[in_tail], high[in_tail])
        # Of the others, by query and ascending score.
        others = np.bincount(self.query[~in_tail], minlength=b)
        self.begin, self.end, self.earlier = begin, begin + others, np.cumsum(others) - others
        self.shallow = np.repeat(self.end - 1, others) - spans(np.zeros(b, np.int64), others)
        query = self.query[self.shallow]
        self.first, self.after = (
            _packed(query, fast.sorted(keys[self.shallow])) + (1 << INDEX_BITS) for keys in (low, high)
        )
        self.row_ends = _packed(query + 1, np.zeros(len(query), np.int64))
        some = others > 0
        thresholds = np.full(b, np.inf, np.float32)
        thresholds[some] = (own - error)[self.end[some] - 1]
        self.under = fast.under(thresholds)
        self.lowest = thresholds  # of all bounds of a row
        np.minimum.at(self.lowest, self.query[in_tail], (own - error)[in_tail])
        self.waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.count = 0
        self.better = np.zeros(len(self.query), np.int64)  # columns that surely rank before a match
        self.steps = np.zeros(
            len(self.query) + 1, np.int64
        )  # of doubtful ones: how many more do than before the last one

    def counts(self) -> np.ndarray:
        """(M,) columns before each match, over all tiles that were added."""
        self._fold()
        total = self.better + np.cumsum(self.steps[:-1])
        total[self.tail] += self.tail_counts.above
        return total

    def add(self, tile: np.ndarray, query: np.ndarray, column: np.ndarray, keys: np.ndarray, offset: int) -> None:
        """Take a (b, n) tile of keys, whose columns begin at `offset` in the block, and its entries above the thresholds."""
        if not len(self.query):
            return
        for within, columns in self.tail_counts.add(tile):
            self._tail(self.tail[within], columns + offset)
        self.waiting.append((query, column + offset, keys))
        self.count += len(query)
        if self.count > WAITING:
            self._fold()

    def _fold(self) -> None:
        """Count the matches among the entries in the order of their keys."""
        if not self.count:
            return
        whole = [np.concatenate(parts) for parts in zip(*self.waiting, strict=True)]
        self.waiting, self.count = [], 0
        for start in range(0, len(whole[0]), 1 << INDEX_BITS):
            query, column, keys = (part[start : start + (1 << INDEX_BITS)] for part in whole)
            packed = _packed(query, self.fast.sorted(keys))
            packed += np.arange(len(packed))
            packed.sort()
            low, high, ends = (np.searchsorted(packed, bound) for bound in (self.first, self.after, self.row_ends))
            self.better[self.shallow] += ends - high
            # Between the bounds of a match, or of several, it is in doubt; it ranks before those whose bounds end below.
            inside = np.bincount(low, minlength=len(packed) + 1) - np.bincount(high, minlength=len(packed) + 1)
            doubtful = np.flatnonzero(np.cumsum(inside)[:-1] > 0)
            if len(doubtful):
                entry = packed[doubtful] & ((1 << INDEX_BITS) - 1)
                below = np.searchsorted(high, doubtful, side="right")
                self._settle(query[entry], column[entry], below)

    def _settle(self, query: np.ndarray, column: np.ndarray, below: np.ndarray) -> None:
        """Count columns in doubt; `below`: matches, in the order of `shallow`, that they surely rank before or that are of
        queries before theirs."""
        stop = self.end[query] - (below - self.earlier[query])  # the first match that counts the column already
        if self.fast.coarse:
            near = self.block.near_scores(self.queries, query + self.start, column)
            place, doubt = self._located(query, near, self.near_errors[query])
        else:
            place, doubt = np.empty(len(query), np.int64), np.arange(len(query))
        if len(doubt):
            exact = self.block.scores(self.queries, query[doubt] + self.start, column[doubt])
            place[doubt] = self._places(query[doubt], column[doubt], exact)
        counted = place < stop
        self.steps += np.bincount(place[counted], minlength=len(self.steps))
        self.steps -= np.bincount(stop[counted], minlength=len(self.steps))

    def _located(self, query: np.ndarray, values: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first match that each entry ranks before, those of a lower score, and which entries it is uncertain for."""
        begin, end = self.begin[query], self.end[query]
        place = np.searchsorted(self.keys, order_keys(query, values))
        below = (place < end) & (values - self.scores[np.minimum(place, len(self.scores) - 1)] <= error)
        above = (place > begin) & (self.scores[np.minimum(place, end) - 1] - values <= error)
        return place, np.flatnonzero(below | above)

    def _places(self, query: np.ndarray, column: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The first match that each entry ranks before, by its exact score and, of equal ones, by the lower id."""
        keys = order_keys(query, values)
        first, place = np.searchsorted(self.keys, keys), np.searchsorted(self.keys, keys, side="right")
        own = self.places[np.minimum(first, len(self.places) - 1)] == place_of(self.block.number, column)
        others = np.flatnonzero((place > first) & ~((place == first + 1) & own))
        if len(others):
            column_rank, match_rank = self.ranks()
            match_rank = match_rank[self.span]
            width = 1 + max(column_rank.max(), match_rank.max())
            runs = np.searchsorted(self.keys, self.keys) * width + match_rank  # ascending: ties are in order of ids
            asked = first[others] * width + column_rank[column[others]]
            place[others] = np.searchsorted(runs, asked, side="right")
        return place

    def _tail(self, match: np.ndarray, column: np.ndarray) -> None:
        """Count the columns that rank before these matches, pair by pair."""
        if self.fast.coarse:
            query = self.query[match]
            more = self.block.near_scores(self.queries, query + self.start, column) - self.scores[match]
            error = self.near_errors[query]
            self._add(match[more > error])
            still = np.flatnonzero(np.abs(more) <= error)
            match, column = match[still], column[still]
        values = self.block.scores(self.queries, self.query[match] + self.start, column)
        before = values > self.scores[match]
        other = self.places[match] != place_of(self.block.number, column)
        tied = np.flatnonzero((values == self.scores[match]) & other)
        if len(tied):
            column_rank, match_rank = self.ranks()
            before[tied] = column_rank[column[tied]] < match_rank[self.span][match[tied]]
        self._add(match[before])

    def _add(self, match: np.ndarray) -> None:
        self.better += np.bincount(match, minlength=len(self.better))


def _packed(query: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """(N,) int64 in the order of the queries, then of the keys, with room for the place of an entry."""
    packed = query.astype(np.int64)
    packed <<= 32
    packed += keys
    packed <<= INDEX_BITS
    return packed

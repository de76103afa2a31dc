"""Count the better-ranked columns of each match, from fast products and exact scores of the pairs in doubt."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.search.block import Block, Matches
from fashion.retrieval.search.merge import order_keys, place_of
from fashion.retrieval.search.product import Float32
from fashion.retrieval.search.queries import Queries
from fashion.retrieval.search.score import error_bound
from fashion.retrieval.search.tail import TailCounts

FEW = 32  # matches of the tail of a query up to which counting whole rows is quicker than looking at every column

IdRanks = Callable[[], tuple[np.ndarray, np.ndarray]]


def id_ranks(block: Block, matches: Matches) -> IdRanks:
    """Places of the block's columns' ids and of the matches' ids in their common ascending order, when first asked for;
    equal ids have equal places."""

    @cache
    def ranks() -> tuple[np.ndarray, np.ndarray]:
        ids = pa.concat_arrays([block.ids, matches.ids])
        found = pc.rank(ids, "ascending", tiebreaker="dense").to_numpy().astype(np.int64)
        return found[: len(block)], found[len(block) :][matches.id_codes]

    return ranks


def near_errors(block: Block, queries: Queries, rows: slice) -> np.ndarray:
    """(b,) float32, of `Block.near_scores` of these queries."""
    return error_bound(queries.vectors.shape[1], queries.lengths[rows], block.longest).astype(np.float32)


class BetterRanked:
    """The counts of some queries' matches over the tiles of one block.

    Matches of a high score are counted from the few columns above a threshold; those of the tail by comparing whole rows.
    """

    def __init__(
        self, block: Block, queries: Queries, matches: Matches, ranks: IdRanks, rows: slice, fast: Float32,
        tails: np.ndarray,
    ):  # fmt: skip
        """`rows`: of the queries that are looked at; `tails`: of these."""
        self.block, self.queries, self.ranks, self.start, self.fast = block, queries, ranks, rows.start, fast
        self.errors = errors = fast.errors[rows]
        self.near_errors = near_errors(block, queries, rows)
        at = np.searchsorted(matches.query, np.arange(rows.start, rows.stop + 1))
        self.span, self.at = slice(int(at[0]), int(at[-1])), at - at[0]
        self.query = matches.query[self.span] - rows.start
        self.scores = matches.scores[self.span]
        self.places = matches.places[self.span]
        self.keys = order_keys(self.query, self.scores)
        self.steps = np.zeros(len(self.query) + 1, np.int64)  # columns that rank between a match and the one before it
        b = len(errors)
        in_tail = self.scores < tails[self.query]
        few = np.bincount(self.query[in_tail], minlength=b) <= FEW
        self.tail = np.flatnonzero(in_tail & few[self.query])
        self.more = np.zeros(len(self.tail), np.int64)  # doubtful columns that rank before a match of the tail
        count = np.bincount(self.query[self.tail], minlength=b)
        self.ends = self.at[1:] - count  # of the matches that are not in the tail
        self.thresholds = np.full(b, np.inf, np.float32)
        shallow = np.flatnonzero(self.ends > self.at[:-1])
        self.thresholds[shallow] = self.scores[self.ends[shallow] - 1] - errors[shallow]
        self.under = fast.under(self.thresholds)
        own, error = self.scores[self.tail], errors[self.query[self.tail]]
        self.tail_counts = TailCounts(self.query[self.tail], fast.under(own - error), fast.over(own + error))
        self.lowest = self.thresholds.copy()  # of all bounds of a row
        np.minimum.at(self.lowest, self.query[self.tail], own - error)

    def counts(self) -> np.ndarray:
        """(M,) columns before each match, over all tiles that were added."""
        total = np.cumsum(self.steps[:-1])
        total -= np.repeat(np.r_[0, total][self.at[:-1]], np.diff(self.at))
        total[self.tail] = self.tail_counts.above + self.more
        return total

    def add(self, tile: np.ndarray, query: np.ndarray, column: np.ndarray, keys: np.ndarray, offset: int) -> None:
        """Take a (b, n) tile of keys, whose columns begin at `offset` in the block, and its entries above the thresholds."""
        if not len(self.query):
            return
        for within, columns in self.tail_counts.add(tile):
            self._tail(within, columns + offset)
        above = np.flatnonzero(keys > self.under[query])
        self._shallow(query[above], column[above] + offset, self.fast.values(keys[above]))

    def _shallow(self, query: np.ndarray, column: np.ndarray, values: np.ndarray) -> None:
        place, doubt = self._located(query, values, self.errors[query] + self.fast.rounding(values))
        if self.fast.coarse and len(doubt):
            near = self.block.near_scores(self.queries, query[doubt] + self.start, column[doubt])
            place[doubt], still = self._located(query[doubt], near, self.near_errors[query[doubt]])
            doubt = doubt[still]
        if len(doubt):
            exact = self.block.scores(self.queries, query[doubt] + self.start, column[doubt])
            place[doubt] = self._places(query[doubt], column[doubt], exact)
        self.steps += np.bincount(place[place < self.ends[query]], minlength=len(self.steps))

    def _located(self, query: np.ndarray, values: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first match that each entry ranks before, those of a lower score, and which entries it is uncertain for."""
        begin, end = self.at[:-1][query], self.ends[query]
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

    def _tail(self, within: np.ndarray, column: np.ndarray) -> None:
        if self.fast.coarse:
            match = self.tail[within]
            query = self.query[match]
            more = self.block.near_scores(self.queries, query + self.start, column) - self.scores[match]
            error = self.near_errors[query]
            self.more += np.bincount(within[more > error], minlength=len(self.more))
            still = np.flatnonzero(np.abs(more) <= error)
            within, column = within[still], column[still]
        match = self.tail[within]
        values = self.block.scores(self.queries, self.query[match] + self.start, column)
        before = values > self.scores[match]
        other = self.places[match] != place_of(self.block.number, column)
        tied = np.flatnonzero((values == self.scores[match]) & other)
        if len(tied):
            column_rank, match_rank = self.ranks()
            before[tied] = column_rank[column[tied]] < match_rank[self.span][match[tied]]
        self.more += np.bincount(within[before], minlength=len(self.more))

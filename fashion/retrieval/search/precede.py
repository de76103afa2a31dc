"""Count the columns that rank before each match, from a fast product and exact scores of the doubtful pairs."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.search.best import order_keys, place_of
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.matches import Matches
from fashion.retrieval.search.relevance import Queries, spans

FEW = 32  # deep matches of a query up to which counting one by one is quicker than looking at every column
TIES = 1_000_000  # compared at a time


class Precede:
    """The counts of some queries' matches over the tiles of one block.

    Matches of a high score are counted from the few columns above the floor; deep ones by comparing whole rows.
    """

    def __init__(
        self,
        block: Block,
        queries: Queries,
        matches: Matches | None,
        rows: slice,
        errors: np.ndarray,
        depths: np.ndarray,
    ):
        self.block, self.queries, self.matches, self.start = block, queries, matches, rows.start
        at = np.searchsorted(matches.query, np.arange(rows.start, rows.stop + 1)) if matches else np.zeros(1, np.int64)
        self.span = slice(int(at[0]), int(at[-1]))
        self.errors = errors
        self.floors = np.full(len(errors), np.inf, np.float32)
        self.size = self.span.stop - self.span.start
        if not self.size:
            return
        self.at = at - at[0]
        self.query = matches.query[self.span] - rows.start
        self.scores = matches.scores[self.span]
        self.keys = order_keys(self.query, self.scores)
        deep = self.scores < depths[self.query]
        few = np.bincount(self.query[deep], minlength=len(errors)) <= FEW
        self.deep = np.flatnonzero(deep & few[self.query])
        self.ends = self.at[1:] - np.bincount(self.query[self.deep], minlength=len(errors))
        shallow = np.flatnonzero(self.ends > self.at[:-1])
        self.floors[shallow] = self.scores[self.ends[shallow] - 1] - 2 * errors[shallow]
        self.steps = np.zeros(self.size, np.int64)  # columns that rank between a match and the one before it
        self.more = np.zeros(self.size, np.int64)  # columns that rank before one match, beside those

    def counts(self) -> np.ndarray:
        """(M,) columns before each match, over all tiles that were added."""
        if not self.size:
            return np.zeros(0, np.int64)
        total = np.cumsum(self.steps)
        total -= np.repeat(np.r_[0, total][self.at[:-1]], np.diff(self.at))
        total[self.deep] = 0
        return total + self.more

    def add(
        self, scores: np.ndarray, query: np.ndarray, column: np.ndarray, found: np.ndarray, offset: int
    ) -> np.ndarray:
        """Take a tile's (b, n) fast scores, whose columns begin at `offset` in the block, and its entries above the
        floors; returns these entries' scores, exact where they were in doubt."""
        if not self.size:
            return found
        found = self._shallow(query, column + offset, found)
        if len(self.deep):
            self._deep(scores, offset)
        return found

    def _shallow(self, query: np.ndarray, column: np.ndarray, found: np.ndarray) -> np.ndarray:
        entry = np.flatnonzero(found >= self.floors[query])
        query, column, values = query[entry], column[entry], found[entry]
        begin, end = self.at[:-1][query], self.ends[query]
        place = np.searchsorted(self.keys, order_keys(query, values))
        error = self.errors[query]
        below = (place < end) & (values - self.scores[np.minimum(place, self.size - 1)] <= error)
        above = (place > begin) & (self.scores[np.minimum(place, end) - 1] - values <= error)
        doubt = np.flatnonzero(below | above)
        if len(doubt):
            values[doubt] = self.block.scores(self.queries, query[doubt] + self.start, column[doubt])
            keys = order_keys(query[doubt], values[doubt])
            first, place[doubt] = np.searchsorted(self.keys, keys), np.searchsorted(self.keys, keys, side="right")
            ties = np.maximum(np.minimum(place[doubt], end[doubt]) - first, 0)
            self._ties(spans(first, ties), np.repeat(column[doubt], ties))
            found = found.copy()
            found[entry[doubt]] = values[doubt]
        beats = place < end
        self.steps += np.bincount(place[beats], minlength=self.size)
        return found

    def _deep(self, scores: np.ndarray, offset: int) -> None:
        pairs = []
        for match in self.deep.tolist():
            q = self.query[match]
            row, own, error = scores[q], self.scores[match], self.errors[q]
            reach = row >= own - error
            above = np.count_nonzero(row > own + error)
            if np.count_nonzero(reach) > above:
                column = np.flatnonzero(reach & (row <= own + error))
                pairs.append((np.full(len(column), match), column + offset))
            self.more[match] += above
        if pairs:
            match, column = (np.concatenate(part) for part in zip(*pairs, strict=True))
            values = self.block.scores(self.queries, self.query[match] + self.start, column)
            self.more += np.bincount(match[values > self.scores[match]], minlength=self.size)
            equal = values == self.scores[match]
            self._ties(match[equal], column[equal])

    def _ties(self, match: np.ndarray, column: np.ndarray) -> None:
        """Of equal scores the lower id ranks before."""
        for start in range(0, len(match), TIES):
            m, c = match[start : start + TIES], column[start : start + TIES]
            other = place_of(self.block.number, c) != self.matches.places[self.span][m]
            m, c = m[other], c[other]
            if len(m):
                own, theirs = self._id_ranks()
                first = own[c] < theirs[self.matches.id_codes[self.span][m]]
                self.more += np.bincount(m[first], minlength=self.size)

    def _id_ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """Places of the block's columns' ids and of the matches' ids in their common ascending order."""
        if not hasattr(self, "_ranks"):
            order = pc.sort_indices(pa.concat_arrays([self.block.ids, self.matches.ids])).to_numpy()
            rank = np.empty(len(order), np.int64)
            rank[order] = np.arange(len(order))
            self._ranks = rank[: len(self.block)], rank[len(self.block) :]
        return self._ranks

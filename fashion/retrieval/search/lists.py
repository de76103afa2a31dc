"""Lists of the best columns as rectangles, a row a query."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fashion.retrieval.search.best import Best


@dataclass(frozen=True, kw_only=True)
class Lists:
    """The best columns of Q queries."""

    top: np.ndarray  # (Q, k) int64 rows of `about`, best first; -1 where fewer columns are ranked
    scores: np.ndarray  # (Q, k) float32, -inf where there is no column
    places: np.ndarray  # (n,) int64, of the columns
    about: pa.Table  # (n,) `id` and what is told of the columns

    def cut(self, k: int) -> "Lists":
        """The first k of each list."""
        return Lists(top=self.top[:, :k], scores=self.scores[:, :k], places=self.places, about=self.about)


def as_lists(best: Best, queries: int, k: int) -> Lists:
    """The same as rectangles."""
    top, scores = np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32)
    counts = np.bincount(best.query, minlength=queries)
    within = np.arange(len(best.query)) - np.repeat(np.cumsum(counts) - counts, counts)
    top[best.query, within] = best.rows
    scores[best.query, within] = best.scores
    return Lists(top=top, scores=scores, places=best.places, about=best.about)


def join_lists(parts: list[Lists]) -> Lists:
    """The lists of several groups of queries, one after the other; every listed column is told of once."""
    starts = np.cumsum([0, *(len(part.places) for part in parts[:-1])])
    tops = [np.where(part.top < 0, -1, part.top + start) for part, start in zip(parts, starts, strict=True)]
    top = np.concatenate(tops)
    joined = np.concatenate([part.places for part in parts])
    told = np.zeros(len(joined) + 1, bool)  # the last for -1
    told[top] = True
    listed = np.flatnonzero(told[:-1])
    places, first, row = np.unique(joined[listed], return_index=True, return_inverse=True)
    back = np.full(len(joined) + 1, -1, np.int64)  # the last for -1
    back[listed] = row
    return Lists(
        top=back[top],
        scores=np.concatenate([part.scores for part in parts]),
        places=places,
        about=pa.concat_tables([part.about for part in parts]).take(pa.array(listed[first])),
    )

"""What a pass over the gallery searches for: queries in groups; and once more, what a pass may have missed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fashion.retrieval.search import survey
from fashion.retrieval.search.block import Matches, in_order
from fashion.retrieval.search.merge import Best, merge
from fashion.retrieval.search.queries import Queries
from fashion.retrieval.search.scan import ALL, Search
from fashion.retrieval.search.survey import Survey, Turn


@dataclass(frozen=True, kw_only=True)
class Group:
    """Some queries of a turn, few enough to be searched for at a time."""

    number: int  # of the turn
    turn: Turn
    survey: Survey
    queries: Queries
    matches: Matches | None  # in order
    unscored: bool  # whether there are matches that are not known yet


def passes(turns: Sequence[Turn], surveys: Sequence[Survey]) -> Iterator[list[Group]]:
    """The queries by pass: groups of at most AT_ONCE matches and listed columns together, or single queries."""
    together: list[Group] = []
    size = 0
    for number, (turn, known) in enumerate(zip(turns, surveys, strict=True)):
        sizes = known.matches + turn.width
        for rows in _groups(sizes):
            whole = len(turn.queries) == rows.stop - rows.start
            group = Group(
                number=number,
                turn=turn,
                survey=known,
                queries=turn.queries if whole else turn.queries.take(rows),
                matches=in_order(known.pairs) if whole and known.pairs else None,
                unscored=bool(known.matches[rows].any()) and not (whole and known.pairs),
            )
            if together and size + sizes[rows].sum() > survey.AT_ONCE:
                yield together
                together, size = [], 0
            together, size = [*together, group], size + sizes[rows].sum()
    if together:
        yield together


def _groups(sizes: np.ndarray) -> Iterator[slice]:
    """Runs of queries of at most AT_ONCE in all, or single ones."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        limit = (ends[start - 1] if start else 0) + survey.AT_ONCE
        stop = max(start + 1, int(np.searchsorted(ends, limit, side="right")))
        yield slice(start, stop)
        start = stop


def incomplete(search: Search, best: Best) -> np.ndarray:
    """Rows of the queries whose list may miss a column of the gallery, for their threshold was too high."""
    if not search.k:
        return np.empty(0, np.int64)
    return np.flatnonzero((best.kth(len(search.queries), search.k) < search.thresholds) & (search.thresholds > ALL))


def once_more(search: Search, best: Best, queries: np.ndarray) -> Search:
    """The search for the lists of these queries with thresholds that are sure."""
    kth = best.kth(len(search.queries), search.k)[queries]
    thresholds = np.where(np.isfinite(kth), kth, ALL)
    return replace(
        search, queries=search.queries.take(queries), thresholds=thresholds, tails=search.tails[queries], matches=None
    )


def completed(best: Best, rest: Best, queries: np.ndarray, k: int) -> Best:
    """The lists, those of these queries taken from the second search."""
    kept = ~np.isin(best.query, queries)
    others = replace(best, query=best.query[kept], scores=best.scores[kept], places=best.places[kept])
    return merge([others, replace(rest, query=queries[rest.query])], k)

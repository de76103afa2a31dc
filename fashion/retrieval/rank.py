"""Exact ranking of a gallery of any size for every query: the best k columns, and the ranks of all matches.

Order: score descending, then id ascending; `search.exact` says what the score is. The gallery comes in parts, one in
memory at a time; the ranking is the same for any division into parts and any place where they are searched.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fashion.retrieval.metrics import Measures
from fashion.retrieval.search.expansion import Expansion
from fashion.retrieval.search.lists import as_lists, join_lists
from fashion.retrieval.search.matches import Matches, find_matches, in_order, join_matches
from fashion.retrieval.search.nearest import Gallery, nearest, sample_blocks
from fashion.retrieval.search.refine import expanded, reranked
from fashion.retrieval.search.relevance import Queries, count_relations
from fashion.retrieval.search.reranking import Reranking
from fashion.retrieval.search.sweep import Part, Sweep, sweep_here

AT_ONCE = 2_000_000  # matches and listed columns, over the queries that are searched for at a time


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Rankings of Q queries."""

    top: np.ndarray  # (Q, k) int64 rows of `listed`, best first; -1 where fewer columns are ranked
    scores: np.ndarray  # (Q, k) float32, -inf where there is no column; of re-ranked lists 1 minus the distance
    listed: pa.Table  # every column that is in a list, once: `id` and what its block tells of it
    measures: Measures
    matches: np.ndarray  # (Q,) columns that match
    columns: np.ndarray  # (Q,) columns that are ranked


@dataclass(frozen=True, kw_only=True)
class Survey:
    """How many columns there are, and for each query how many match and how many are left out."""

    columns: int
    matches: np.ndarray
    left_out: np.ndarray


def rank(
    queries: Queries,
    parts: Sequence[Part],
    k: int,
    *,
    expansion: Expansion | None = None,
    reranking: Reranking | None = None,
    sweep: Sweep = sweep_here,
    device: str | None = None,
    precision: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Ranking:
    """Rank all columns of the gallery's parts for every query, and list the best k (0: none).

    `sweep` asks the parts; `device` computes the fast products, in the precision that it does fastest or in the given one
    (float32, bfloat16): the ranking is the same. `progress(parts searched, parts to search)`.
    """
    survey = sweep(_survey, _join_surveys, parts, queries)
    width = max(k, reranking.columns if reranking else 0)  # of the lists that are made
    sample = sample_blocks(parts, sweep, listing=bool(width or expansion))
    gallery = Gallery(
        parts=parts, columns=survey.columns, sample=sample, sweep=sweep, device=device, precision=precision
    )
    groups = list(_groups(survey.matches + width))
    searched = 0

    def done(count: int) -> None:
        nonlocal searched
        searched += count
        progress(searched, len(groups) * len(parts))

    lists, measures = [], []
    for rows in groups:
        some = queries.take(rows)
        if expansion:
            some = expanded(gallery, some, expansion)
        matches = None
        if survey.matches[rows].any():
            matches = in_order(sweep(_find, _join_matches, parts, some))
        scanned = nearest(gallery, some, width, matches, done)
        found, before = as_lists(scanned.best, len(some), width), scanned.before
        if reranking:
            found, before = reranked(gallery, some, found, matches, before, reranking)
        lists.append(found.cut(k))
        measures.append(_measures(before, matches, len(some)))
    found = join_lists(lists)
    return Ranking(
        top=found.top,
        scores=found.scores,
        listed=found.about,
        measures=Measures.join(measures),
        matches=survey.matches,
        columns=survey.columns - survey.left_out,
    )


def _measures(before: np.ndarray, matches: Matches | None, queries: int) -> Measures:
    if matches is None:
        return Measures.of(np.empty(0, np.int64), np.zeros(queries + 1, np.int64))
    order = np.lexsort((before, matches.query))
    return Measures.of(before[order] + 1, np.searchsorted(matches.query, np.arange(queries + 1)))


def _groups(sizes: np.ndarray) -> Iterator[slice]:
    """Runs of queries of at most AT_ONCE in all, or single ones."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        limit = (ends[start - 1] if start else 0) + AT_ONCE
        stop = max(start + 1, int(np.searchsorted(ends, limit, side="right")))
        yield slice(start, stop)
        start = stop


def _survey(part: Part, queries: Queries) -> Survey:
    labels, images = part.labels(images=queries.wanted is not None)
    matches, left_out = count_relations(queries, labels, images)
    return Survey(columns=len(labels), matches=matches, left_out=left_out)


def _join_surveys(found: list[Survey], queries: Queries) -> Survey:
    return Survey(**{name: sum(getattr(one, name) for one in found) for name in ("columns", "matches", "left_out")})


def _find(part: Part, queries: Queries) -> Matches:
    return find_matches(part.load(), queries)


def _join_matches(found: list[Matches], queries: Queries) -> Matches:
    return join_matches(found)

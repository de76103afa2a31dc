"""Exact ranking of a gallery of any size for every query: the best k columns, and the ranks of all matches.

Order: score descending, then id ascending; `search.exact` says what the score is. The gallery comes in parts, one in
memory at a time; the ranking is the same for any division into parts and any place where they are searched.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from fashion.retrieval.metrics import Measures
from fashion.retrieval.search.best import Best, merge
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.floors import ROUGH, SAMPLE, SAMPLED_PARTS, guess
from fashion.retrieval.search.matches import Matches, find_matches, in_order, join_matches
from fashion.retrieval.search.relevance import Queries, count_relations
from fashion.retrieval.search.scan import ALL, Scanned, Search, join_scanned, scan
from fashion.retrieval.search.sweep import Part, Sweep, sweep_here

AT_ONCE = 2_000_000  # matches and listed columns, over the queries that are searched for at a time


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Rankings of Q queries."""

    top: np.ndarray  # (Q, k) int64 rows of `listed`, best first; -1 where fewer columns are ranked
    scores: np.ndarray  # (Q, k) float32, -inf where there is no column
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
    sweep: Sweep = sweep_here,
    device: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Ranking:
    """Rank all columns of the gallery's parts for every query, and list the best k (0: none).

    `sweep` asks the parts; `device` computes the fast products. `progress(parts searched, parts to search)`.
    """
    survey = sweep(_survey, _join_surveys, parts, queries)
    chosen = _spread(parts, SAMPLED_PARTS)
    samples = sweep(_sample, _join_samples, chosen, -(-(SAMPLE if k else ROUGH) // len(chosen)))
    groups = list(_groups(survey.matches + k))
    searched = 0

    def done(count: int) -> None:
        nonlocal searched
        searched += count
        progress(searched, len(groups) * len(parts))

    lists, measures = [], []
    for rows in groups:
        some = queries.take(rows)
        guessed = guess(some, samples, survey.columns, k)
        matches = None
        if survey.matches[rows].any():
            matches = in_order(sweep(_find, _join_matches, parts, some))
        search = Search(queries=some, k=k, floors=guessed.floors, depths=guessed.depths, matches=matches, device=device)
        found = sweep(_scan, _join_scans, parts, search, done=done)
        best = _complete(found.best, search, parts, sweep) if k else found.best
        lists.append(replace(best, query=best.query + rows.start))
        measures.append(_measures(found.before, matches, len(some)))
    best = merge(lists, k)
    top, scores = _rectangle(best, len(queries), k)
    return Ranking(
        top=top,
        scores=scores,
        listed=best.about,
        measures=Measures.join(measures),
        matches=survey.matches,
        columns=survey.columns - survey.left_out,
    )


def _complete(best: Best, search: Search, parts: Sequence[Part], sweep: Sweep) -> Best:
    """Search once more for the queries whose list may miss a column, with floors that are sure."""
    kth = best.kth(len(search.queries), search.k)
    again = np.flatnonzero((kth < search.floors) & (search.floors > ALL))
    if not len(again):
        return best
    floors = np.where(np.isfinite(kth), kth, ALL)[again]
    rest = Search(
        queries=search.queries.take(again), k=search.k, floors=floors, depths=search.depths[again], device=search.device
    )
    found = sweep(_scan, _join_scans, parts, rest).best
    kept = ~np.isin(best.query, again)
    others = replace(best, query=best.query[kept], scores=best.scores[kept], rows=best.rows[kept])
    return merge([others, replace(found, query=again[found.query])], search.k)


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


def _rectangle(best: Best, queries: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    top, scores = np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32)
    counts = np.bincount(best.query, minlength=queries)
    within = np.arange(len(best.query)) - np.repeat(np.cumsum(counts) - counts, counts)
    top[best.query, within] = best.rows
    scores[best.query, within] = best.scores
    return top, scores


def _spread(parts: Sequence[Part], count: int) -> list[Part]:
    chosen = np.unique(np.linspace(0, len(parts) - 1, min(count, len(parts))).round().astype(int))
    return [parts[i] for i in chosen]


def _survey(part: Part, queries: Queries) -> Survey:
    labels, images = part.labels(images=queries.wanted is not None)
    matches, left_out = count_relations(queries, labels, images)
    return Survey(columns=len(labels), matches=matches, left_out=left_out)


def _join_surveys(found: list[Survey], queries: Queries) -> Survey:
    return Survey(**{name: sum(getattr(one, name) for one in found) for name in ("columns", "matches", "left_out")})


def _sample(part: Part, columns: int) -> list[Block]:
    return [part.load().sample(columns)]


def _join_samples(found: list[list[Block]], columns: int) -> list[Block]:
    return [block for some in found for block in some]


def _find(part: Part, queries: Queries) -> Matches:
    return find_matches(part.load(), queries)


def _join_matches(found: list[Matches], queries: Queries) -> Matches:
    return join_matches(found)


def _scan(part: Part, search: Search) -> Scanned:
    return scan(part.load(), search)


def _join_scans(found: list[Scanned], search: Search) -> Scanned:
    return join_scanned(found, search.k)

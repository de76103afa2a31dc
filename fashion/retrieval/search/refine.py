"""Query expansion and re-ranking of lists of a gallery in parts."""

from dataclasses import dataclass, replace

import numpy as np

from fashion.retrieval.search.expansion import Expansion, expand
from fashion.retrieval.search.lists import Lists, as_lists
from fashion.retrieval.search.matches import Matches
from fashion.retrieval.search.nearest import Gallery, nearest
from fashion.retrieval.search.pick import chunks, pick
from fashion.retrieval.search.relevance import Queries
from fashion.retrieval.search.reranking import Reranking, rerank

TOGETHER = 64  # queries that are re-ranked by a task


def expanded(gallery: Gallery, queries: Queries, settings: Expansion) -> Queries:
    """The queries, moved towards what they find."""
    found = as_lists(nearest(gallery, queries, settings.columns).best, len(queries), settings.columns)
    moved = []
    for rows in chunks(len(queries), settings.columns, queries.vectors.shape[1]):
        top, vectors = _picked(gallery, found, rows)
        moved.append(expand(queries.vectors[rows], vectors[top], found.scores[rows], settings.power))
    return replace(queries, vectors=np.concatenate(moved))


def reranked(
    gallery: Gallery, queries: Queries, lists: Lists, matches: Matches | None, before: np.ndarray, settings: Reranking
) -> tuple[Lists, np.ndarray]:
    """The lists in their new order, with scores of 1 minus the distance; and how many columns rank before each match now.

    Columns behind the list keep their ranks.
    """
    top, scores = lists.top.copy(), lists.scores.copy()
    place = np.tile(np.arange(top.shape[1]), (len(top), 1))  # where each entry of a list is now
    for rows in chunks(len(queries), top.shape[1], queries.vectors.shape[1]):
        picked, vectors = _picked(gallery, lists, rows)
        runs = [_Run(start=start) for start in range(0, len(picked), TOGETHER)]
        asked = _Asked(queries=queries.vectors[rows], top=picked, vectors=vectors, settings=settings)
        for q, distances in gallery.sweep(_rerank, _join, runs, asked):
            order = np.argsort(distances, kind="stable")
            own = rows.start + q
            place[own, order] = np.arange(len(order))
            top[own, : len(order)] = top[own, order]
            scores[own, : len(order)] = 1 - distances[order]
    if matches:
        listed = before < (top >= 0).sum(1)[matches.query]
        before = before.copy()
        before[listed] = place[matches.query[listed], before[listed]]
    return replace(lists, top=top, scores=scores), before


@dataclass(frozen=True, kw_only=True)
class _Run:
    start: int


@dataclass(frozen=True, kw_only=True)
class _Asked:
    queries: np.ndarray
    top: np.ndarray
    vectors: np.ndarray
    settings: Reranking


def _rerank(run: _Run, asked: _Asked) -> list[tuple[int, np.ndarray]]:
    found = []
    for q in range(run.start, min(run.start + TOGETHER, len(asked.top))):
        own = asked.top[q][asked.top[q] >= 0]
        found.append((q, rerank(asked.queries[q], asked.vectors[own], asked.settings)))
    return found


def _join(found: list[list], asked: _Asked) -> list[tuple[int, np.ndarray]]:
    return [one for some in found for one in some]


def _picked(gallery: Gallery, lists: Lists, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """The lists of some queries as rows of the vectors that are returned with them; -1 stays."""
    listed, top = np.unique(lists.top[rows], return_inverse=True)
    missing = int(len(listed) > 0 and listed[0] < 0)
    order = np.argsort(lists.places[listed[missing:]])
    vectors = pick(lists.places[listed[missing:]][order], gallery.parts, gallery.sweep)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return np.r_[np.full(missing, -1), back][top.reshape(lists.top[rows].shape)], vectors

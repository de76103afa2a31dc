"""Query expansion and re-ranking of lists of a gallery in parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fashion.errors import InputError
from fashion.retrieval.search.block import Matches
from fashion.retrieval.search.merge import Lists, place_of
from fashion.retrieval.search.parts import MapReduce, Part
from fashion.retrieval.search.queries import Queries
from fashion.retrieval.search.refinements import Expansion, Reranking, expand, rerank

PICKED_BYTES = 256 << 20  # of vectors in memory at a time
TOGETHER = 64  # queries that are re-ranked by a task


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the vectors of listed columns are."""

    parts: Sequence[Part]
    view: Any
    map_reduce: MapReduce


def expanded(source: Source, queries: Queries, lists: Lists, settings: Expansion) -> Queries:
    """The queries, moved towards what they found: the first `settings.columns` of the gallery."""
    moved = []
    for rows in _chunks(len(queries), settings.columns, queries.vectors.shape[1]):
        top, vectors = _picked(source, lists, rows)
        moved.append(expand(queries.vectors[rows], vectors[top], lists.scores[rows], settings.power))
    return replace(queries, vectors=np.concatenate(moved))


def reranked(
    source: Source, queries: Queries, lists: Lists, matches: Matches | None, better: np.ndarray, settings: Reranking
) -> tuple[Lists, np.ndarray]:
    """The lists in their new order, with scores of 1 minus the distance; and how many columns rank before each match now.

    Columns behind the list keep their ranks.
    """
    top, scores = lists.top.copy(), lists.scores.copy()
    place = np.tile(np.arange(top.shape[1]), (len(top), 1))  # where each entry of a list is now
    for rows in _chunks(len(queries), top.shape[1], queries.vectors.shape[1]):
        picked, vectors = _picked(source, lists, rows)
        runs = [_Run(start=start) for start in range(0, len(picked), TOGETHER)]
        asked = _Asked(queries=queries.vectors[rows], top=picked, vectors=vectors, settings=settings)
        for q, distances in source.map_reduce(_rerank, _join_reranked, runs, asked):
            order = np.argsort(distances, kind="stable")
            own = rows.start + q
            place[own, order] = np.arange(len(order))
            top[own, : len(order)] = top[own, order]
            scores[own, : len(order)] = 1 - distances[order]
    if matches:
        listed = better < (top >= 0).sum(1)[matches.query]
        better = better.copy()
        better[listed] = place[matches.query[listed], better[listed]]
    return replace(lists, top=top, scores=scores), better


@dataclass(frozen=True, kw_only=True)
class _Run:
    start: int


@dataclass(frozen=True, kw_only=True)
class _Asked:
    queries: np.ndarray
    top: np.ndarray
    vectors: np.ndarray
    settings: Reranking


def _rerank(run: _Run, asked: _Asked, earlier: Any) -> list[tuple[int, np.ndarray]]:
    answers = []
    for q in range(run.start, min(run.start + TOGETHER, len(asked.top))):
        own = asked.top[q][asked.top[q] >= 0]
        answers.append((q, rerank(asked.queries[q], asked.vectors[own], asked.settings)))
    return answers


def _join_reranked(answers: list[list], asked: _Asked) -> list[tuple[int, np.ndarray]]:
    return [one for some in answers for one in some]


def _picked(source: Source, lists: Lists, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """The lists of some queries as rows of the vectors that are returned with them; -1 stays."""
    listed, top = np.unique(lists.top[rows], return_inverse=True)
    missing = int(len(listed) > 0 and listed[0] < 0)
    order = np.argsort(lists.places[listed[missing:]])
    places, vectors = source.map_reduce(
        _pick, _join_picked, source.parts, (source.view, lists.places[listed[missing:]][order])
    )
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return np.r_[np.full(missing, -1), back][top.reshape(lists.top[rows].shape)], vectors[np.argsort(places)]


def _chunks(total: int, columns: int, dimension: int) -> Iterator[slice]:
    """Slices of `total` queries whose lists of so many columns have vectors that fit in memory."""
    size = max(1, PICKED_BYTES // (4 * columns * dimension))
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def _pick(part: Part, asked: tuple[Any, np.ndarray], earlier: Any) -> tuple[np.ndarray, np.ndarray]:
    """Places and vectors (n, D) of the part's columns at the ascending places that are asked for."""
    view, places = asked
    first, end = np.searchsorted(places, (place_of(part.number, 0), place_of(part.number + 1, 0)))
    own = places[first:end]
    if not len(own):
        return own, np.empty((0, 0), np.float32)
    block = part.open([view]).block(view)
    if block.starts is not None:
        raise InputError("protocol.ranking: found item, expected image or centroid for expansion and re-ranking")
    return own, block.vectors[own - place_of(part.number, 0)]


def _join_picked(picked: list[tuple[np.ndarray, np.ndarray]], asked: Any) -> tuple[np.ndarray, np.ndarray]:
    some = [one for one in picked if len(one[0])] or picked[:1]
    places, vectors = (np.concatenate(parts) for parts in zip(*some, strict=True))
    return places, vectors

"""Vectors of listed columns, read from the parts that hold them."""

from collections.abc import Iterator, Sequence

import numpy as np

from fashion.errors import InputError
from fashion.retrieval.search.best import place_of
from fashion.retrieval.search.sweep import Part, Sweep

PICKED_BYTES = 256 << 20  # of vectors held at a time


def pick(places: np.ndarray, parts: Sequence[Part], sweep: Sweep) -> np.ndarray:
    """(n, D) float32 vectors of the columns at these ascending places; every column has one vector."""
    found, vectors = sweep(_pick, _join, parts, places)
    return vectors[np.argsort(found)]


def chunks(total: int, columns: int, dimension: int) -> Iterator[slice]:
    """Slices of `total` queries whose lists of so many columns have vectors that fit in memory."""
    size = max(1, PICKED_BYTES // (4 * columns * dimension))
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def _pick(part: Part, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, end = np.searchsorted(places, (place_of(part.number, 0), place_of(part.number + 1, 0)))
    own = places[first:end]
    if not len(own):
        return own, np.empty((0, 0), np.float32)
    block = part.load()
    if block.starts is not None:
        raise InputError("protocol.ranking: found item, expected image or centroid for expansion and re-ranking")
    return own, block.vectors[own - place_of(part.number, 0)]


def _join(found: list[tuple[np.ndarray, np.ndarray]], places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    some = [one for one in found if len(one[0])] or found[:1]
    return tuple(np.concatenate(parts) for parts in zip(*some, strict=True))

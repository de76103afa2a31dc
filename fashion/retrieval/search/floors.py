"""Guess from a sample of the gallery which scores will be listed; a wrong guess costs time and changes no answer."""

from dataclasses import dataclass

import numpy as np

from fashion.retrieval.search.block import Block
from fashion.retrieval.search.product import QUERY_ROWS, even_slices
from fashion.retrieval.search.relevance import Queries
from fashion.retrieval.search.scan import ALL

SAMPLE, SAMPLED_PARTS = 8192, 2
ROUGH = 1024  # columns of a sample that only tells which matches are deep
LARGE = 4096  # columns of a gallery
GROUPS = 512  # the best of the sample are found among so many maxima
DEEP = 0.02  # matches that are not in this best share of the gallery are deep


@dataclass(frozen=True, kw_only=True)
class Guess:
    """(Q,) float32 each."""

    floors: np.ndarray  # nearly always below the k-th score of the gallery; infinite for k = 0
    depths: np.ndarray


def guess(queries: Queries, sample: list[Block], columns: int, k: int) -> Guess:
    """`sample`: columns of a gallery that has `columns` of them."""
    Q, held = len(queries), sum(len(block) for block in sample)
    floors = np.full(Q, ALL if k else np.inf, np.float32)
    depths = np.full(Q, np.inf, np.float32)  # of a small gallery every row is soon counted
    # Of the gallery's k best, so many are expected in the sample. With a margin of three standard deviations, the score
    # of that place in the sample is nearly always below the gallery's k-th.
    expected = k * held / max(1, columns)
    r = int(np.ceil(expected + 3 * np.sqrt(expected) + 4))
    deep = max(1, int(DEEP * held))
    for rows in even_slices(Q, QUERY_ROWS):
        best = np.concatenate([_maxima(_scores(queries.vectors[rows], block)) for block in sample], 1)
        if k and r < best.shape[1] // 2:
            floors[rows] = np.partition(best, -r, axis=1)[:, -r]
        if columns >= LARGE and best.shape[1]:
            depths[rows] = np.partition(best, -min(deep, best.shape[1]), axis=1)[:, -min(deep, best.shape[1])]
    return Guess(floors=floors, depths=depths)


def _scores(queries_bD: np.ndarray, block: Block) -> np.ndarray:
    scores = queries_bD @ block.vectors.T
    return scores if block.starts is None else np.maximum.reduceat(scores, block.starts, axis=1)


def _maxima(scores: np.ndarray) -> np.ndarray:
    """The maxima of disjoint groups of columns: the best few of a row are nearly always in different groups."""
    size = max(1, scores.shape[1] * SAMPLED_PARTS // (GROUPS * 4))
    whole = scores.shape[1] // size * size
    return scores[:, :whole].reshape(len(scores), size, -1).max(1) if size > 1 else scores

"""Ranks among scores, with one rule for ties: of equal scores the one at the lower index is better."""

import numpy as np


def best_first(scores_NL: np.ndarray) -> np.ndarray:
    """(N, L) int64: the columns of each row by score descending, then index ascending."""
    return np.argsort(-scores_NL, axis=1, kind="stable")


def ranks(scores_NL: np.ndarray) -> np.ndarray:
    """(N, L) int64: the rank of each score in its row, 1 + the greater ones + the equal ones at lower indices."""
    order_NL = best_first(scores_NL)
    ranks_NL = np.empty_like(order_NL)
    np.put_along_axis(ranks_NL, order_NL, np.arange(1, scores_NL.shape[1] + 1)[None], axis=1)
    return ranks_NL


def ranks_within(scores_NL: np.ndarray, groups_L: np.ndarray) -> np.ndarray:
    """(N, L) int64: the rank of each score among those of its own group in its row. `groups_L`: a number for each
    column; a negative one is no group, and its columns have rank 0."""
    ranks_NL = np.zeros(scores_NL.shape, np.int64)
    for group in np.unique(groups_L[groups_L >= 0]):
        columns = np.flatnonzero(groups_L == group)
        ranks_NL[:, columns] = ranks(scores_NL[:, columns])
    return ranks_NL

"""Retrieval metrics from the ranks of the matches, and what a random ranking would get."""

import numpy as np

from fashion.retrieval.rank import Ranking


def recall_at(first: np.ndarray, ks: tuple[int, ...]) -> dict[int, float]:
    """Share of all queries whose best match has a rank of at most k. `first` (Q,): 0 for a query without a match,
    which counts as a miss."""
    return {k: float(np.mean((first >= 1) & (first <= k))) if len(first) else 0.0 for k in ks}


def average_precision(ranking: Ranking) -> np.ndarray:
    """(Q,) mean over a query's matches of the precision at each one's rank, over the whole gallery; 0 without match."""
    counts = np.diff(ranking.at)
    place = np.arange(len(ranking.ranks)) - np.repeat(ranking.at[:-1], counts) + 1
    query = np.repeat(np.arange(len(counts)), counts)
    total = np.bincount(query, place / ranking.ranks, minlength=len(counts))
    return total / np.maximum(counts, 1)


def reciprocal_rank(first: np.ndarray) -> np.ndarray:
    """(Q,) 1 / rank of the best match; 0 without one."""
    return np.where(first > 0, 1 / np.maximum(first, 1), 0.0)


def summary(ranking: Ranking, ks: tuple[int, ...]) -> dict:
    """`recall` (k as text -> fraction), `map` and `mrr` over all queries."""
    first = ranking.first()
    mean = lambda x: float(x.mean()) if len(x) else 0.0  # noqa: E731
    return {
        "recall": {str(k): value for k, value in recall_at(first, ks).items()},
        "map": mean(average_precision(ranking)),
        "mrr": mean(reciprocal_rank(first)),
    }


def chance(matches_Q: np.ndarray, columns_Q: np.ndarray, ks: tuple[int, ...]) -> dict:
    """The expected `summary` of a ranking in random order, in closed form.

    `matches_Q`: matches of each query; `columns_Q`: columns that are ranked for it.
    """
    kinds, counts = np.unique(np.stack([matches_Q, columns_Q], 1), axis=0, return_counts=True)
    recall, ap, rr = np.zeros(len(ks)), 0.0, 0.0
    for (m, G), count in zip(kinds.tolist(), counts.tolist(), strict=True):
        if m == 0:
            continue
        # miss[r]: no match among the first r places; the first match is at rank r with probability miss[r-1] - miss[r].
        r = np.arange(G)
        miss = np.r_[1.0, np.cumprod(np.clip((G - m - r) / (G - r), 0, 1))]
        recall += count * np.array([1 - miss[min(k, G)] for k in ks])
        harmonic = (1 / (r + 1)).sum()
        ap += count * (harmonic + (m - 1) / max(1, G - 1) * (G - harmonic)) / G
        rr += count * ((miss[:-1] - miss[1:]) / (r + 1)).sum()
    total = max(1, len(matches_Q))
    return {
        "recall": {str(k): float(v / total) for k, v in zip(ks, recall, strict=True)},
        "map": ap / total,
        "mrr": rr / total,
    }

"""Retrieval metrics from the ranks of the matches, and what a random ranking would get."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What Q queries got; a query without a match got nothing."""

    first: np.ndarray  # (Q,) int64 rank of the best match, from 1; 0 without one
    average_precision: np.ndarray  # (Q,) float64
    r_precision: np.ndarray  # (Q,) float64

    @classmethod
    def of(cls, ranks: np.ndarray, at: np.ndarray) -> "Measures":
        """`ranks` (M,) of all matches, from 1 and ascending within a query; query q has ranks[at[q]:at[q + 1]]."""
        return cls(
            first=first_rank(ranks, at),
            average_precision=average_precision(ranks, at),
            r_precision=r_precision(ranks, at),
        )

    @property
    def reciprocal_rank(self) -> np.ndarray:
        """(Q,) 1 / rank of the best match; 0 without one."""
        return np.where(self.first > 0, 1 / np.maximum(self.first, 1), 0.0)

    def take(self, rows: np.ndarray) -> "Measures":
        return Measures(
            first=self.first[rows],
            average_precision=self.average_precision[rows],
            r_precision=self.r_precision[rows],
        )

    @staticmethod
    def join(parts: list["Measures"]) -> "Measures":
        names = ("first", "average_precision", "r_precision")
        return Measures(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def first_rank(ranks: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(Q,) int64 rank of the best match, 0 where there is none."""
    best = np.zeros(len(at) - 1, np.int64)
    some = np.diff(at) > 0
    best[some] = ranks[at[:-1][some]]
    return best


def average_precision(ranks: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(Q,) mean over a query's matches of the precision at each one's rank, over the whole gallery; 0 without match."""
    counts = np.diff(at)
    place = np.arange(len(ranks)) - np.repeat(at[:-1], counts) + 1
    query = np.repeat(np.arange(len(counts)), counts)
    return np.bincount(query, place / ranks, minlength=len(counts)) / np.maximum(counts, 1)


def r_precision(ranks: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(Q,) share of a query's R matches that are among the best R; 0 without match."""
    counts = np.diff(at)
    query = np.repeat(np.arange(len(counts)), counts)
    return np.bincount(query, ranks <= np.repeat(counts, counts), minlength=len(counts)) / np.maximum(counts, 1)


def recall_at(first: np.ndarray, ks: tuple[int, ...]) -> dict[int, float]:
    """Share of all queries whose best match has a rank of at most k. `first` (Q,): 0 for a query without a match,
    which counts as a miss."""
    return {k: float(np.mean((first >= 1) & (first <= k))) if len(first) else 0.0 for k in ks}


def median_rank(first: np.ndarray) -> float | None:
    """The median over all queries of the rank of the best match, where a query without one is behind every other; None
    where that is the median, or there is no query."""
    ranks = np.sort(np.where(first > 0, first, np.inf))
    middle = ranks[(len(ranks) - 1) // 2 : len(ranks) // 2 + 1]
    return float(middle.mean()) if len(middle) and np.isfinite(middle[-1]) else None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Means over queries, fractions; None where an older evaluation did not measure it."""

    recall: dict[str, float]  # by k
    map: float | None = None
    r_precision: float | None = None
    mrr: float | None = None


def summary(measures: Measures, ks: tuple[int, ...]) -> Summary:
    """Over all queries."""
    mean = lambda x: float(x.mean()) if len(x) else 0.0  # noqa: E731
    return Summary(
        recall={str(k): value for k, value in recall_at(measures.first, ks).items()},
        map=mean(measures.average_precision),
        r_precision=mean(measures.r_precision),
        mrr=mean(measures.reciprocal_rank),
    )


def chance(matches_Q: np.ndarray, columns_Q: np.ndarray, ks: tuple[int, ...]) -> Summary:
    """The expected `summary` of a ranking in random order, in closed form.

    `matches_Q`: matches of each query; `columns_Q`: columns that are ranked for it.
    """
    kinds, counts = np.unique(np.stack([matches_Q, columns_Q], 1), axis=0, return_counts=True)
    recall, ap, rp, rr = np.zeros(len(ks)), 0.0, 0.0, 0.0
    for (m, G), count in zip(kinds.tolist(), counts.tolist(), strict=True):
        if m == 0:
            continue
        # miss[r]: no match among the first r places; the first match is at rank r with probability miss[r-1] - miss[r].
        r = np.arange(G)
        miss = np.r_[1.0, np.cumprod(np.clip((G - m - r) / (G - r), 0, 1))]
        recall += count * np.array([1 - miss[min(k, G)] for k in ks])
        harmonic = (1 / (r + 1)).sum()
        ap += count * (harmonic + (m - 1) / max(1, G - 1) * (G - harmonic)) / G
        rp += count * m / G
        rr += count * ((miss[:-1] - miss[1:]) / (r + 1)).sum()
    total = max(1, len(matches_Q))
    return Summary(
        recall={str(k): float(v / total) for k, v in zip(ks, recall, strict=True)},
        map=ap / total,
        r_precision=rp / total,
        mrr=rr / total,
    )

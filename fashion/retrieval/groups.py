"""Retrieval numbers over all queries and by group, with their uncertainty."""

from dataclasses import dataclass

import numpy as np

from fashion.retrieval.gate.statistics import bootstrap, interval
from fashion.retrieval.metrics import Measures, Summary, summary

DRAWS = 2000
SEED = 0  # of the bootstrap: always the same, so that no number depends on a setting

Interval = tuple[float, float]  # low, high; 95 %


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Of a `Summary`."""

    recall: dict[str, Interval]  # by k
    map: Interval | None = None
    r_precision: Interval | None = None
    mrr: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class _Group:
    name: str
    queries: int
    unmatched_queries: int


@dataclass(frozen=True, kw_only=True)
class GroupSummary(Summary, _Group):
    """The numbers of some of the queries; fields of the last base come first."""


def intervals(measures: Measures, items: np.ndarray, ks: tuple[int, ...]) -> Intervals:
    """95 % intervals of what `summary` returns: a bootstrap over the queries that keeps those of an item
    together, for photos of one garment succeed and fail together. `items` (Q,): of each query."""
    first = measures.first
    hits = [(first >= 1) & (first <= k) for k in ks]
    others = {
        "map": measures.average_precision,
        "r_precision": measures.r_precision,
        "mrr": measures.reciprocal_rank,
    }
    values_QM = np.stack([*hits, *others.values()], 1).astype(np.float64)
    means = bootstrap(values_QM, items, draws=DRAWS, seed=SEED)
    ends = [interval(column) for column in means.T]
    recall = {str(k): ends[i] for i, k in enumerate(ks)}
    return Intervals(recall=recall, **dict(zip(others, ends[len(ks) :], strict=True)))


def by_group(measures: Measures, matches: np.ndarray, names: np.ndarray, ks: tuple[int, ...]) -> list[GroupSummary]:
    """The numbers of each group of queries, the largest first. `names` (Q,): of each query's group, or None for none;
    `matches` (Q,): how many it has."""
    rows = []
    for name in sorted({name for name in names if name is not None}):
        chosen = np.flatnonzero(names == name)
        unmatched = int((matches[chosen] == 0).sum())
        numbers = summary(measures.take(chosen), ks)
        rows.append(GroupSummary(name=name, queries=len(chosen), unmatched_queries=unmatched, **vars(numbers)))
    return sorted(rows, key=lambda row: (-row.queries, row.name))

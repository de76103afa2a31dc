"""Retrieval numbers over all queries and by group, with their uncertainty."""

import numpy as np

from fashion.retrieval.gate.statistics import bootstrap, interval
from fashion.retrieval.metrics import Measures, summary

DRAWS = 2000
SEED = 0  # of the bootstrap: always the same, so that no number depends on a setting


def intervals(measures: Measures, items: np.ndarray, ks: tuple[int, ...]) -> dict:
    """95 % intervals of what `summary` returns, as [low, high]: a bootstrap over the queries that keeps those of an item
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
    intervals = [list(interval(column)) for column in means.T]
    recall = {str(k): intervals[i] for i, k in enumerate(ks)}
    return {"recall": recall} | dict(zip(others, intervals[len(ks) :], strict=True))


def by_group(measures: Measures, matches: np.ndarray, names: np.ndarray, ks: tuple[int, ...]) -> list[dict]:
    """The numbers of each group of queries, the largest first. `names` (Q,): of each query's group, or None for none;
    `matches` (Q,): how many it has."""
    rows = []
    for name in sorted({name for name in names if name is not None}):
        chosen = np.flatnonzero(names == name)
        unmatched = int((matches[chosen] == 0).sum())
        numbers = summary(measures.take(chosen), ks)
        rows.append({"name": name, "queries": len(chosen), "unmatched_queries": unmatched, **numbers})
    return sorted(rows, key=lambda row: (-row["queries"], row["name"]))

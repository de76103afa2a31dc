"""The numbers by category, clothes type and domain pair, with their intervals: what the report's tables print."""

import math

from fashion.retrieval import table
from fashion.retrieval.gate.statistics import wilson
from fashion.retrieval.metrics_record import Metrics

GROUPINGS = {"by_category": "category", "by_clothes_type": "clothes type", "by_domains": "domains"}


def group_tables(metrics: Metrics) -> list[dict]:
    """One entry a grouping that has two groups or more: `title`; `heads`; `rows` of name, queries, unmatched, recall at
    the smallest k with `low` and `high` (Wilson, 95 %), and `others`: recall at the next k and mAP; `mean`, the recall
    of all queries; `scale`, where the axis ends."""
    ks = sorted(metrics.recall, key=int)
    tables = []
    for key, title in GROUPINGS.items():
        groups = getattr(metrics, key)
        if len(groups) < 2:
            continue
        rows = []
        for group in groups:
            recall = group.recall[ks[0]]
            low, high = wilson(recall * group.queries, group.queries)
            rows.append(
                {
                    "name": group.name,
                    "queries": group.queries,
                    "unmatched": group.unmatched_queries,
                    "recall": recall,
                    "low": low,
                    "high": high,
                    "others": [group.recall.get(k) for k in ks[1:2]] + [group.map],
                }
            )
        heads = [f"recall@{ks[0]}", *(f"recall@{k}" for k in ks[1:2]), "mAP"]
        mean = metrics.recall[ks[0]]
        # The axis ends at the next tenth, or intervals of a few points would be too small to see.
        scale = math.ceil(10 * max(mean, *(row["high"] for row in rows)) - 1e-9) / 10
        tables.append({"title": title, "heads": heads, "rows": rows, "mean": mean, "scale": scale})
    return tables


def measure_intervals(metrics: Metrics) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each measure of the table, by the name it has there; measures without one are left out."""
    known = metrics.intervals
    if known is None:
        return {}
    named = {f"recall@{k}": pair for k, pair in known.recall.items()}
    others = {"mAP": known.map, "MRR": known.mrr, "R-precision": known.r_precision}
    named |= {name: pair for name, pair in others.items() if pair}
    return {name: named[name] for name, _ in table.measures(metrics) if name in named}

"""The comparison of a trained network with its baselines, as aligned text for a terminal."""

from fashion.retrieval.metrics import Summary
from fashion.retrieval.metrics_record import Metrics
from fashion.text_table import aligned

IGNORED = "category ignored"  # the trained network's embeddings alone, where the predicted category is searched by too
BASELINES = (IGNORED, "untrained", "colour histogram", "chance")  # the order they are shown in, strongest claim first


def systems(metrics: Metrics) -> dict[str, Summary]:
    """What is compared, in the order shown.

    The trained network comes first, then the baselines that `metrics` has, the known ones before any others.
    """
    baselines = metrics.baselines
    names = [name for name in BASELINES if name in baselines] + [name for name in baselines if name not in BASELINES]
    return {"trained": metrics, **{name: baselines[name] for name in names}}


def measures(metrics: Metrics) -> list[tuple[str, list[float | None]]]:
    """One entry a measure, recall at rising k and then mAP and MRR: its name and the fraction of every system.

    None stands where a system lacks the measure.
    """
    compared = systems(metrics).values()
    recalls = [(f"recall@{k}", [system.recall.get(k) for system in compared]) for k in sorted(metrics.recall, key=int)]
    return [
        *recalls,
        ("mAP", [system.map for system in compared]),
        ("MRR", [system.mrr for system in compared]),
    ]


def percent(fraction: float | None) -> str:
    """A fraction as a percentage with one decimal; an en dash for None."""
    return "–" if fraction is None else f"{100 * fraction:.1f}%"


def metrics_table(metrics: Metrics) -> str:
    """Plain aligned text, a row a system and a column a measure, in percent; no newline at the end."""
    columns = measures(metrics)
    rows = [["", *(name for name, _ in columns)]]
    for i, system in enumerate(systems(metrics)):
        rows.append([system, *(percent(values[i]) for _, values in columns)])
    return aligned(rows)

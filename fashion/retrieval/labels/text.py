"""The numbers of labels as aligned text, beside what guessing gets and what was published."""

from fashion.retrieval.labels.numbers import LabelMetrics, LabelNumbers
from fashion.retrieval.table import percent
from fashion.text_table import aligned

NOT_COMPARABLE = "published on DeepFashion's full category and attribute benchmark: not comparable with this table"
COMPARABLE = "published; the same benchmark and split"


def label_systems(labels: LabelMetrics) -> dict[str, LabelNumbers]:
    """What is compared, in the order shown."""
    return {"trained": labels, **labels.baselines, **labels.published}


def label_rows(labels: LabelMetrics) -> list[tuple[str, list[float | None]]]:
    """One entry a measure: its name and the value of every system, None where one lacks it. Only measures that this
    evaluation has, for published ones stand beside them."""
    systems = list(label_systems(labels).values())
    columns = [system.headline for system in systems]
    rows = [(name, [numbers.get(name) for numbers in columns]) for name in columns[0]]
    types = [
        (f"  {row.name} recall@{k}", [system.of_type(row.name).get(k) for system in systems])
        for row in labels.types
        for k in row.recall
    ]
    after = sum(not name.startswith("landmark") for name, _ in rows)  # types stand below the attributes of all types
    return [*rows[:after], *types, *rows[after:]]


def labels_text(labels: LabelMetrics) -> str:
    """A row a measure and a column a system, in percent; no newline at the end."""
    systems = list(label_systems(labels))
    rows = [["", *(name + " *" if name in labels.published else name for name in systems)]]
    rows += [[name, *map(percent, values)] for name, values in label_rows(labels)]
    source = COMPARABLE if labels.comparable else NOT_COMPARABLE
    return f"{counted(labels)}\n\n{aligned(rows)}\n\n* {source}"


def counted(labels: LabelMetrics) -> str:
    """How many images were judged by what, a phrase."""
    parts = []
    if c := labels.category:
        parts.append(f"{c.images or 0:,} by category{_misses(c.unknown, c.images, 'categories')}")
    if a := labels.attributes:
        parts.append(f"{a.images or 0:,} by attributes{_misses(a.unknown, a.positives, 'attributes')}")
    if marks := labels.landmarks:
        parts.append(f"{marks.images or 0:,} by landmarks ({marks.visible or 0:,} visible)")
    side = "box" if labels.crop == "box" else "picture"
    error = f"; errors are fractions of the {side}'s sides" if labels.landmarks else ""
    return f"labels of {labels.images or 0:,} {labels.split} images: {', '.join(parts)}{error}"


def _misses(unknown: int | None, total: int | None, what: str) -> str:
    if not unknown:
        return ""
    return f" ({unknown:,} of {total or 0:,} {what} are unknown to the network and count as misses)"

"""The numbers of labels as aligned text, beside what guessing gets and what was published."""

from dataclasses import dataclass, field

from fashion.json_values import of_plain
from fashion.retrieval.table import percent
from fashion.text_table import aligned

NOT_COMPARABLE = "published on DeepFashion's full category and attribute benchmark: not comparable with this table"
COMPARABLE = "published; the same benchmark and split"


@dataclass(frozen=True, kw_only=True)
class CategoryNumbers:
    top: dict[str, float | None] = field(default_factory=dict)  # k -> fraction


@dataclass(frozen=True, kw_only=True)
class AttributeNumbers:
    recall: dict[str, float | None] = field(default_factory=dict)  # k -> fraction


@dataclass(frozen=True, kw_only=True)
class LandmarkNumbers:
    error: float | None = None
    visibility: float | None = None


@dataclass(frozen=True, kw_only=True)
class LabelNumbers:
    """Of `labels` in metrics.json, the numbers over all images."""

    category: CategoryNumbers = field(default_factory=CategoryNumbers)
    attributes: AttributeNumbers = field(default_factory=AttributeNumbers)
    landmarks: LandmarkNumbers = field(default_factory=LandmarkNumbers)

    @property
    def headline(self) -> dict[str, float]:
        """By the names that they have everywhere: what two evaluations are compared by."""
        values = {f"category top-{k}": value for k, value in self.category.top.items()}
        values |= {f"attributes recall@{k}": value for k, value in self.attributes.recall.items()}
        values |= {"landmark error": self.landmarks.error, "landmark visibility": self.landmarks.visibility}
        return {name: value for name, value in values.items() if value is not None}


def label_systems(labels: dict) -> dict[str, dict]:
    """What is compared, in the order shown: name -> numbers in the form of `label_measures`."""
    return {"trained": labels, **labels["baselines"], **labels["published"]}


def headline(labels: dict) -> dict[str, float]:
    """`LabelNumbers.headline` of `label_measures`."""
    return of_plain(LabelNumbers, labels).headline


def label_rows(labels: dict) -> list[tuple[str, list[float | None]]]:
    """One entry a measure: its name and the value of every system, None where one lacks it. Only measures that this
    evaluation has, for published ones stand beside them."""
    systems = list(label_systems(labels).values())
    columns = [headline(system) for system in systems]
    rows = [(name, [numbers.get(name) for numbers in columns]) for name in columns[0]]
    types = [
        (f"  {row['name']} recall@{k}", [of_type(system, row["name"]).get(k) for system in systems])
        for row in labels.get("attributes", {}).get("by_type", [])
        for k in row["recall"]
    ]
    after = sum(not name.startswith("landmark") for name, _ in rows)  # types stand below the attributes of all types
    return [*rows[:after], *types, *rows[after:]]


def labels_text(labels: dict) -> str:
    """A row a measure and a column a system, in percent; no newline at the end."""
    systems = list(label_systems(labels))
    rows = [["", *(name + " *" if name in labels["published"] else name for name in systems)]]
    rows += [[name, *map(percent, values)] for name, values in label_rows(labels)]
    source = COMPARABLE if labels["comparable"] else NOT_COMPARABLE
    return f"{counted(labels)}\n\n{aligned(rows)}\n\n* {source}"


def counted(labels: dict) -> str:
    """How many images were judged by what, a phrase."""
    parts = []
    for name, what in (("category", "categories"), ("attributes", "attributes")):
        if row := labels.get(name):
            parts.append(f"{row['images']:,} by category" if name == "category" else f"{row['images']:,} by attributes")
            if row["unknown"]:
                total = row["images"] if name == "category" else row["positives"]
                parts[-1] += f" ({row['unknown']:,} of {total:,} {what} are unknown to the network and count as misses)"
    if row := labels.get("landmarks"):
        parts.append(f"{row['images']:,} by landmarks ({row['visible']:,} visible)")
    side = "box" if labels["crop"] == "box" else "picture"
    error = f"; errors are fractions of the {side}'s sides" if "landmarks" in labels else ""
    return f"labels of {labels['images']:,} {labels['split']} images: {', '.join(parts)}{error}"


def of_type(system: dict, name: str) -> dict[str, float]:
    """The recall of a type's attributes, k -> fraction; empty where the system has none."""
    rows = system.get("attributes", {}).get("by_type", [])
    return next((row["recall"] for row in rows if row["name"] == name), {})

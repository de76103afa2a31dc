"""How many images carry each label, and each name, counted as the plan of the item table passes by: memory grows with
names alone.

Annotations are counted, before pictures are looked at: those of pictures in quarantine too.
"""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

LABELS = ("category", "attributes", "landmarks")
FIELDS = ("attributes", "attribute_types", "labels", "attribute_counts", "category_counts")  # of the manifest


class LabelCounts:
    """Counts of annotated images by split, and of the attributes' positives in the train split.

    `types`: attribute -> type for every name on the benchmark's list; names that images have beside these count too.
    """

    def __init__(self, types: dict[str, str]):
        self.types = types
        self.labels: dict[str, Counter] = {}
        self.positives: Counter = Counter(dict.fromkeys(types, 0))
        self.categories: Counter = Counter()

    def add(self, split: str, rows: pa.Table) -> None:
        """Rows of schema ANNOTATIONS, of one split."""
        counts = self.labels.setdefault(split, Counter())
        counts["images"] += rows.num_rows
        for name, column in (*zip(LABELS, LABELS, strict=True), ("boxes", "box")):
            counts[name] += rows.num_rows - rows[column].null_count
        train = split == "train"
        for row in pc.value_counts(pc.list_flatten(rows["attributes"])).to_pylist():
            self.positives[row["values"]] += row["counts"] if train else 0
        for row in pc.value_counts(rows["category"].drop_null()).to_pylist():
            self.categories[row["values"]] += row["counts"] if train else 0

    def fields(self) -> dict:
        """Fields of the manifest: `attributes` (sorted names), `attribute_types`, `labels` (split -> images that have
        each), `attribute_counts` (positives among the train images), `category_counts` (train images)."""
        return {
            "attributes": sorted(self.positives),
            "attribute_types": self.types,
            "labels": {split: dict(counts) for split, counts in self.labels.items()},
            "attribute_counts": {name: self.positives[name] for name in sorted(self.positives)},
            "category_counts": {name: self.categories[name] for name in sorted(self.categories)},
        }

"""How many images carry each label, counted as the plan of the item table passes by: memory grows with names alone.

Annotations are counted, before pictures are looked at: those of pictures in quarantine too.
"""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

LABELS = ("category", "attributes", "landmarks")


class LabelCounts:
    """Counts of annotated images by split, and of the attributes' positives in the train split.

    `types`: attribute -> type for every name on the benchmark's list; names that images have beside these count too.
    """

    def __init__(self, types: dict[str, str]):
        self.types = types
        self.labels: dict[str, Counter] = {}
        self.positives: Counter = Counter(dict.fromkeys(types, 0))

    def add(self, split: str, rows: pa.Table) -> None:
        """Rows of schema ANNOTATIONS, of one split."""
        counts = self.labels.setdefault(split, Counter())
        counts["images"] += rows.num_rows
        for name in LABELS:
            counts[name] += rows.num_rows - rows[name].null_count
        present = pc.value_counts(pc.list_flatten(rows["attributes"])).to_pylist()
        for row in present:
            self.positives[row["values"]] += row["counts"] if split == "train" else 0

    def fields(self) -> dict:
        """Fields of the manifest: `attributes` (sorted names), `attribute_types`, `labels` (split -> images that have
        each), `attribute_counts` (positives among the train images)."""
        return {
            "attributes": sorted(self.positives),
            "attribute_types": self.types,
            "labels": {split: dict(counts) for split, counts in self.labels.items()},
            "attribute_counts": {name: self.positives[name] for name in sorted(self.positives)},
        }

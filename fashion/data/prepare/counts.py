"""What is counted as the plan of the item table passes by: images with each label and name, queries and gallery photos.
Memory grows with names alone.

Annotations are counted, before pictures are looked at: those of pictures in quarantine too.
"""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from fashion.data.formats.benchmarks import read_attribute_types
from fashion.data.prepare.holdout import EVALUATED
from fashion.data.prepare.planned import WEB
from fashion.data.schema import ADDRESS
from fashion.data.settings import TableSettings
from fashion.domain import LABELS
from fashion.errors import InputError
from fashion.storage import Store

FIELDS = ("attributes", "attribute_types", "labels", "attribute_counts", "category_counts")  # of the manifest


class TableCounts:
    """All of them, of the annotations of one source."""

    def __init__(self, source: Store, settings: TableSettings):
        self.labels = LabelCounts(read_attribute_types(settings.benchmark, source, fine=settings.fine))
        # The category benchmark matches by category, not by item.
        self.roles = RoleCounts() if settings.benchmark != "category-attribute" else None
        self.domains: set[str] = set()
        self.signed = False

    def add(self, split: str, rows: pa.Table) -> None:
        """Rows of schema ANNOTATIONS, whole items of one split."""
        self.labels.add(split, rows)
        if self.roles:
            self.roles.add(split, rows)
        self.domains.update(rows["domain"].unique().to_pylist())
        self.signed |= pc.any(pc.starts_with(rows[ADDRESS.name], WEB), min_count=0).as_py()

    def metadata(self) -> dict:
        """Of the table's plan: `categories`, `domains`, FIELDS, and whether addresses are `signed`."""
        names = {"categories": sorted(self.labels.categories), "domains": sorted(self.domains)}
        return {**names, **self.labels.fields(), "signed": self.signed}

    def check(self) -> list[str]:
        """As RoleCounts has it."""
        return self.roles.check() if self.roles else []


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


class RoleCounts:
    """How many photos of each split ask, answer, and can be answered; what cannot be validated is refused."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter] = {}

    def add(self, split: str, rows: pa.Table) -> None:
        """Rows of whole items of one split."""
        counts = self.counts.setdefault(split, Counter())
        roles_of: dict[str, Counter] = {}
        for item, role in zip(rows["item"].to_pylist(), rows["role"].to_pylist(), strict=True):
            roles_of.setdefault(item, Counter())[role] += 1
        counts["items"] += len(roles_of)
        for roles in roles_of.values():
            counts["queries"] += roles["query"]
            counts["gallery"] += roles["gallery"]
            counts["answered"] += roles["query"] if roles["gallery"] else 0

    def check(self) -> list[str]:
        """Lines about test photos that cannot be scored. Raises InputError where training could not be validated."""
        notes = []
        for split in EVALUATED:
            counts = self.counts.get(split)
            if not counts or counts["answered"]:
                continue
            what = (
                f"{split}: {counts['items']} items, {counts['queries']} queries, {counts['gallery']} gallery photos, and no "
                "query has a photo of its item in the gallery"
            )
            if split == "val" and "train" in self.counts:
                raise InputError(
                    f"{what}, so training could not be validated: expected items with two photos or more; check the "
                    "columns item, domain and role, or set holdout 0 to embed and search alone"
                )
            notes.append(f"{what}: it can be embedded and searched, not scored")
        return notes

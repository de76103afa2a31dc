"""The plan of an item table as a value, and as JSON in its folder."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from fashion.data.prepare.stats import PackStats
from fashion.data.schema import FORMAT, LAYERED

PLAN = "plan/plan.json"
WEB = "http"  # how addresses of pictures begin that may hold keys


# Of a plan's JSON -> of TablePlan.
_KEYS = {
    "settings": "settings",
    "sources": "sources",
    "pictures": "pictures",
    "about": "metadata",
    "reasons": "reasons",
}
_LAYERS = ("layer", "gone", "sources")


@dataclass(frozen=True, kw_only=True)
class PlannedShard:
    """One shard of the plan."""

    split: str
    start: int  # the first hash of its range
    images: int  # rows of annotations
    annotations: str  # their digest
    rows: str  # the same with the versions of the pictures, by which their file is named
    name: str  # of its files
    old: tuple[str, str] | None = None  # name and rows of the finished shard in whose place it is
    layer: int = 0  # 0, or by which growth of the table it came: the ranges of a layer are apart, those of two are not
    gone: str | None = None  # digest of the list of its items that the table does not have any more
    sources: tuple[tuple[str, str], ...] = ()  # names and rows of finished shards that hold pictures of it

    @property
    def record(self) -> dict:
        """As JSON, whose numbers have 53 bits; as it was before there were layers where there are none."""
        record = {**vars(self), "start": f"{self.start:016x}"}
        return {name: value for name, value in record.items() if name not in _LAYERS or value}

    @staticmethod
    def of(record: dict) -> "PlannedShard":
        old = tuple(record["old"]) if record["old"] else None
        sources = tuple((name, rows) for name, rows in record.get("sources", ()))
        record = {"annotations": record["rows"], **record}  # older plans know no versions of pictures
        return PlannedShard(**{**record, "start": int(record["start"], 16), "old": old, "sources": sources})


@dataclass(frozen=True, kw_only=True)
class TablePlan:
    """The shards to be, and what the manifest says of their annotations."""

    shards: tuple[PlannedShard, ...]
    settings: dict  # their identity, and the source's address
    sources: str  # digest of the annotation files
    pictures: dict | None  # state of the folders that the pictures lie in
    metadata: dict  # categories, domains, counts of labels
    reasons: dict[str, int]  # why rows of the annotations cannot be used, and how many
    changed: bool  # whether it is another than that of the manifest there
    finished: dict[str, PackStats]  # name -> stats of the shards that are there

    @property
    def images(self) -> int:
        """Rows of annotations, usable or not."""
        return self.rejected + sum(shard.images for shard in self.shards)

    @property
    def rejected(self) -> int:
        """Rows of the annotations that cannot be used."""
        return sum(self.reasons.values())

    @property
    def all_reasons(self) -> Counter:
        """Why images are set aside, rows of the annotations and pictures alike, and how many."""
        reasons = Counter(self.reasons)
        for row in self.finished.values():
            reasons.update(row.reasons)
        return reasons

    @property
    def left(self) -> list[PlannedShard]:
        """Those that are to be packed."""
        return [shard for shard in self.shards if shard.name not in self.finished]

    @property
    def format(self) -> int:
        """Of the table."""
        return LAYERED if any(shard.layer or shard.gone for shard in self.shards) else FORMAT

    @property
    def record(self) -> dict:
        """As JSON; `finished` lies in the folder."""
        kept = {key: getattr(self, name) for key, name in _KEYS.items()}
        return {"format": self.format, **kept, "shards": [shard.record for shard in self.shards]}

    @staticmethod
    def of(record: dict, *, changed: bool, finished: dict[str, PackStats]) -> "TablePlan":
        kept: dict[str, Any] = {name: record.get(key) for key, name in _KEYS.items()}
        shards = tuple(map(PlannedShard.of, record["shards"]))
        return TablePlan(shards=shards, changed=changed, finished=finished, **kept)

    def packed_as(self, stats: list[PackStats]) -> "TablePlan":
        """The plan with the names of the files that the shards, in their order, are in now."""
        shards = [replace(s, name=row.name, old=None, sources=()) for s, row in zip(self.shards, stats, strict=True)]
        return replace(self, shards=tuple(shards), finished={row.name: row for row in stats})

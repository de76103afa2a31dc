"""The plan of an item table as a value, and as JSON in its folder."""

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from fashion.data.prepare.stats import PackStats
from fashion.data.schema import FORMAT, LAYERED
from fashion.json_values import left_out

PLAN = "plan/plan.json"
WEB = "http"  # how addresses of pictures begin that may hold keys
_NAME = re.compile(r"[a-z]+/shard-\d+")


@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """A PlannedShard in a file, where numbers have 53 bits; as it was before there were layers where there are none."""

    split: str
    start: str  # 16 hexadecimal digits
    images: int
    annotations: str | None = None  # older plans know no versions of pictures: it is `rows`
    rows: str
    name: str
    old: tuple[str, str] | None = None
    layer: int | None = left_out()
    gone: str | None = left_out()
    sources: tuple[tuple[str, str], ...] | None = left_out()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{16}", self.start):
            raise ValueError(f"start is {self.start!r}, expected 16 hexadecimal digits")
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name is {self.name!r}, expected one such as train/shard-00000")


@dataclass(frozen=True, kw_only=True)
class PlanRecord:
    """A TablePlan in a file: plan.json, and `plan` of the manifest."""

    format: int
    settings: dict[str, Any]
    sources: str | None = None
    pictures: dict[str, Any] | None = None
    about: dict[str, Any] = field(default_factory=dict)  # TablePlan.metadata
    reasons: dict[str, int] = field(default_factory=dict)
    shards: tuple[ShardRecord, ...]


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
    def record(self) -> ShardRecord:
        return ShardRecord(
            split=self.split,
            start=f"{self.start:016x}",
            images=self.images,
            annotations=self.annotations,
            rows=self.rows,
            name=self.name,
            old=self.old,
            layer=self.layer or None,
            gone=self.gone,
            sources=self.sources or None,
        )

    @staticmethod
    def of(record: ShardRecord) -> "PlannedShard":
        return PlannedShard(
            split=record.split,
            start=int(record.start, 16),
            images=record.images,
            annotations=record.annotations or record.rows,
            rows=record.rows,
            name=record.name,
            old=record.old,
            layer=record.layer or 0,
            gone=record.gone,
            sources=record.sources or (),
        )


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
    def record(self) -> PlanRecord:
        """As a file has it; `finished` lies in the folder."""
        return PlanRecord(
            format=self.format,
            settings=self.settings,
            sources=self.sources,
            pictures=self.pictures,
            about=self.metadata,
            reasons=dict(self.reasons),
            shards=tuple(shard.record for shard in self.shards),
        )

    @staticmethod
    def of(record: PlanRecord, *, changed: bool, finished: dict[str, PackStats]) -> "TablePlan":
        return TablePlan(
            shards=tuple(map(PlannedShard.of, record.shards)),
            settings=record.settings,
            sources=record.sources or "",
            pictures=record.pictures,
            metadata=record.about,
            reasons=record.reasons,
            changed=changed,
            finished=finished,
        )

    def packed_as(self, stats: list[PackStats]) -> "TablePlan":
        """The plan with the names of the files that the shards, in their order, are in now."""
        shards = [replace(s, name=row.name, old=None, sources=()) for s, row in zip(self.shards, stats, strict=True)]
        return replace(self, shards=tuple(shards), finished={row.name: row for row in stats})

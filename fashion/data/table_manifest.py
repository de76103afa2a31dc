"""manifest.json of an item table: what is in it, from what, with which settings."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from fashion.data.schema import items_file
from fashion.json_values import left_out, of_plain

KIND: Literal["item-table"] = "item-table"


@dataclass(frozen=True, kw_only=True)
class ShardInfo:
    """One finished shard as the manifest lists it."""

    split: str
    name: str  # e.g. train/shard-00000
    groups: tuple[int, ...]  # items in each row group, those that are gone left out
    items: int
    images: int
    bytes: int
    digest: str
    gone: str | None = left_out()  # digest of the list of items that its files hold and the table does not any more

    def __post_init__(self) -> None:
        for name, counts in (("items", [self.items]), ("images", [self.images]), ("groups", self.groups)):
            if min(counts, default=0) < 0:
                raise ValueError(f"{name} has {min(counts)}, expected 0 or more")

    @property
    def file(self) -> str:
        return items_file(self.name)


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """Images of a split, and how many of them have each label, by the annotations."""

    images: int
    category: int = 0
    attributes: int
    landmarks: int = 0
    boxes: int = 0


@dataclass(frozen=True, kw_only=True)
class UsedSettings:
    """Of the settings that a table was made with, those that its readers ask for."""

    benchmark: str
    crop: bool
    fine: bool = False
    duplicates: str = "warn"


@dataclass(frozen=True, kw_only=True)
class ListFiles:
    """Names of the files beside the manifest that have what it does not list itself."""

    shards: str
    plan: str


@dataclass(frozen=True, kw_only=True)
class TableManifest:
    """Raises ValueError where settings lack what is asked of them, or counts a split that has shards."""

    kind: Literal["item-table"] = KIND
    format: int
    fingerprint: str
    source: str = ""
    settings: dict[str, Any]  # TableSettings, as they were in the version that wrote it
    counts: dict[str, int] = field(default_factory=dict)  # items, images, bad, bytes
    quarantined: dict[str, int] = field(default_factory=dict)  # reason -> images
    duplicates: dict[str, int] = field(default_factory=dict)
    splits: dict[str, dict[str, int]] = field(default_factory=dict)  # split -> counts
    categories: list[str]
    domains: list[str]
    attributes: list[str]
    attribute_types: dict[str, str]
    labels: dict[str, LabelledImages]  # by split
    attribute_counts: dict[str, int]  # of train images
    category_counts: dict[str, int]  # of train images
    shards: tuple[ShardInfo, ...] | None = left_out()  # None: in `lists`
    plan: dict[str, Any] | None = left_out()  # TablePlan.record; older versions kept none
    lists: ListFiles | None = left_out()  # of a table of many shards
    versions: dict[str, Any] = field(default_factory=dict)
    created: str | None = None

    def __post_init__(self) -> None:
        _ = self.used
        if self.shards is None and self.lists is None:
            raise ValueError("shards is missing")
        splits = self.splits.keys() if self.shards is None else {shard.split for shard in self.shards}
        if lacking := splits - self.labels.keys():
            raise ValueError(f"labels.{min(lacking)} is missing")

    @cached_property
    def used(self) -> UsedSettings:
        return of_plain(UsedSettings, self.settings, "settings")

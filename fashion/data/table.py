"""A finished item table: its manifest and its shards. Their rows: rows.py; what is in its files: schema.py."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from fashion.data.rows import ShardRows
from fashion.data.schema import FORMATS, MANIFEST
from fashion.data.shard_list import read_gone, read_shards
from fashion.data.table_manifest import KIND, ShardInfo, TableManifest
from fashion.errors import InputError
from fashion.storage import Store


class ItemTable(ShardRows):
    """A finished item table. Pickles as its address, and what is gone where that is known: rows that one process has
    planned are those that another reads. The manifest is read once a process."""

    def __init__(self, store: Store, gone: dict[str, str] | None = None):
        super().__init__(store)
        if gone is not None:
            self.gone = gone

    def __reduce__(self) -> tuple:
        known = self.gone if "manifest" in vars(self) or "gone" in vars(self) else None
        return ItemTable, (self.store, known)

    @cached_property
    def manifest(self) -> TableManifest:
        """Raises InputError where there is no finished table or one of another format."""
        try:
            plain = self.store.read_value(MANIFEST, dict)
        except FileNotFoundError:
            raise InputError(
                f"{self.store.uri}: no {MANIFEST} there, so no finished item table; make one with jobs/prepare.py"
            ) from None
        if plain.get("kind") != KIND or plain.get("format") not in FORMATS:
            raise InputError(
                f"{self.store.uri}/{MANIFEST}: found {plain.get('kind')} format {plain.get('format')}, expected "
                f"{KIND} format {' or '.join(map(str, FORMATS))}; prepare the data again with this version"
            )
        return self.store.value_of(MANIFEST, plain, TableManifest)

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint

    @property
    def benchmark(self) -> str:
        return self.manifest.used.benchmark

    @property
    def positives(self) -> str:
        """What makes two images match here: the same `item`, or, in the category benchmark, the same `category`."""
        return "category" if self.benchmark == "category-attribute" else "item"

    @property
    def categories(self) -> list[str]:
        """The sorted names of all categories."""
        return self.manifest.categories

    def check_categories(self, *splits: str) -> None:
        """Raises InputError where the category is what is matched by, and images of the splits have none."""
        for split in splits if self.positives == "category" else ():
            counts = self.manifest.labels.get(split)
            if counts and (missing := counts.images - counts.category):
                raise InputError(
                    f"{self.store.uri}: {missing} of {counts.images} {split} images have no category, and this benchmark "
                    "matches by category; prepare the table again, which sets them aside"
                )

    @property
    def plan(self) -> dict | None:
        """The record of the plan that the table was made by; None of an earlier version's."""
        lists = self.manifest.lists
        return self.store.read_value(lists.plan, dict) if lists else self.manifest.plan

    @property
    def splits(self) -> list[str]:
        """Those that have shards, in the order of these."""
        shards = self.manifest.shards
        return list(self.manifest.splits if shards is None else dict.fromkeys(shard.split for shard in shards))

    def shards(self, *splits: str) -> list[ShardInfo]:
        """The shards of the splits, in order. Raises InputError where a split has none."""
        return [shard for split in splits for shard in SplitShards(self, split)]

    def listed(self, split: str | None = None) -> Iterable[ShardInfo]:
        """All shards, or those of a split, in order; those of a long table are read from their list each time."""
        if lists := self.manifest.lists:
            return read_shards(self.store, lists.shards, split)
        return [shard for shard in self.manifest.shards or () if split in (None, shard.split)]

    @cached_property
    def gone(self) -> dict[str, str]:
        """As `ShardRows` has it."""
        lists = self.manifest.lists
        return read_gone(self.store, lists.shards) if lists else {s.name: s.gone for s in self.listed() if s.gone}


@dataclass(frozen=True)
class SplitShards:
    """The shards of a split, in order, as often as they are asked for."""

    table: ItemTable
    split: str

    def __iter__(self) -> Iterator[ShardInfo]:
        """Raises InputError where there is none."""
        none = True
        for shard in self.table.listed(self.split):
            none = False
            yield shard
        if none:
            raise InputError(
                f"{self.table.store.uri}: no {self.split} images; the table has {', '.join(self.table.splits) or 'nothing'}"
            )

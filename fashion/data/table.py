"""Reading a finished item table: its manifest, its shards, their row groups. What is in its files: schema.py."""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fashion.data.schema import FORMATS, MANIFEST, gone_file, items_file
from fashion.data.shard_list import read_gone, read_shards
from fashion.data.table_manifest import KIND, ShardInfo, TableManifest
from fashion.errors import InputError
from fashion.sealed import read_footer
from fashion.storage import READERS, Store, undamaged

SHARDS_KEPT = 256  # a few KB each


class ItemTable:
    """A finished item table. Pickles as its address, and what is gone where that is known: rows that one process has
    planned are those that another reads. The manifest is read once a process."""

    def __init__(self, store: Store, gone: dict[str, str] | None = None):
        self.store = store
        self._footers, self._gone_lists = _Kept(), _Kept()
        if gone is not None:
            self._gone = gone

    def __reduce__(self) -> tuple:
        known = self._gone if "manifest" in vars(self) or "_gone" in vars(self) else None
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

    def read(self, shard: str, group: int | None = None, columns: list[str] | None = None) -> pa.Table:
        """Rows of one shard (or of one of its row groups): `item`, `images`. Raises InputError where the shard is gone, or
        damaged."""
        if not (digest := self._gone.get(shard)):
            return self.read_packed(shard, group, columns)
        wanted = columns if columns is None or "item" in columns else [*columns, "item"]
        rows = self.read_packed(shard, group, wanted)
        rows = rows.filter(pc.invert(pc.is_in(rows["item"], self._gone_items(digest))))
        return rows if wanted == columns else rows.drop_columns("item")

    def read_packed(self, shard: str, group: int | None = None, columns: list[str] | None = None) -> pa.Table:
        """As `read`, with the items that are gone; needs no manifest."""
        return self.store.looked_at_twice(lambda: self._read(shard, group, columns))

    @cached_property
    def _gone(self) -> dict[str, str]:
        """Shard -> digest of the list of items that are gone."""
        lists = self.manifest.lists
        return read_gone(self.store, lists.shards) if lists else {s.name: s.gone for s in self.listed() if s.gone}

    def _gone_items(self, digest: str) -> pa.Array:
        items = self._gone_lists.get(digest)
        if items is None:
            try:
                items = self.store.read_table(gone_file(digest))["item"].combine_chunks()
            except FileNotFoundError:
                raise self._prepared_anew(gone_file(digest)) from None
            self._gone_lists.put(digest, items)
        return items

    def _prepared_anew(self, file: str) -> InputError:
        return InputError(
            f"{self.store.uri}: {file} is not there any more, so the table was prepared anew while it was read; run again"
        )

    def _read(self, shard: str, group: int | None, columns: list[str] | None) -> pa.Table:
        try:
            opened = self.store.open(items_file(shard))
        except FileNotFoundError:
            raise self._prepared_anew(items_file(shard)) from None
        with opened as source, undamaged(f"{self.store.uri}/{items_file(shard)}"):
            footer = self._footers.get(shard) or read_footer(source)
            file = pq.ParquetFile(source, metadata=footer, pre_buffer=True, page_checksum_verification=True)
            self._footers.put(shard, footer)
            # One thread a reader: jobs run a reader a core.
            return file.read(columns) if group is None else file.read_row_group(group, columns, use_threads=False)

    def read_groups(self, groups: Iterable[tuple[str, int]], columns: list[str]) -> list[pa.Table]:
        """`read` of each (shard, row group). From a bucket all at once, else an actor would spend more time on waiting
        for the answers, one after another, than on decoding."""

        def read(group: tuple[str, int]) -> pa.Table:
            return self.read(*group, columns)

        if self.store.local:
            return list(map(read, groups))
        with ThreadPoolExecutor(READERS) as readers:
            return list(readers.map(read, groups))

    def image_rows(self, shard: str, columns: list[str] | None = None) -> pa.Table:
        """One row an image: `item` and the fields of IMAGE (or those named)."""
        wanted = None if columns is None else ["item", *(f"images.list.element.{name}" for name in columns)]
        rows = self.read(shard, columns=wanted)
        return flatten(rows)


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


class _Kept:
    """What is known of the shards used last, such as footers: a shard is read a row group at a time, and in a bucket each
    look is a request."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.lock = threading.Lock()

    def get(self, name: str) -> Any:
        return self.kept.get(name)

    def put(self, name: str, value: Any) -> None:
        with self.lock:
            self.kept.pop(name, None)
            self.kept[name] = value
            if len(self.kept) > SHARDS_KEPT:
                self.kept.pop(next(iter(self.kept)), None)


def flatten(rows: pa.Table) -> pa.Table:
    """Rows of ITEMS -> one row an image, `item` first."""
    rows = rows.combine_chunks()
    if not rows.num_rows:
        return pa.table({"item": pa.array([], pa.string())})
    images = rows["images"].combine_chunks()
    parents = (
        images.value_parent_indices()
        if hasattr(images, "value_parent_indices")
        else pa.compute.list_parent_indices(images)
    )
    fields = images.flatten()
    columns = {"item": rows["item"].take(parents)}
    columns |= {field.name: column for field, column in zip(fields.type, fields.flatten(), strict=True)}
    return pa.table(columns)

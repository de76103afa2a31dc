"""The item table: Parquet shards, one row an item with the list of its images, one folder a split, a manifest.

    manifest.json                        written last: what is here, from what, with which settings
    items/train/shard-00000.parquet      item, images: list<struct<image, domain, ..., width, height, jpeg>>
    quarantine/train/shard-00000.parquet images that could not be used, with the reason
    quarantine/annotations.parquet       rows of the annotations that could not be used
    duplicates.parquet                   photos that stand under several items
    stats/train/shard-00000.json         one a finished shard
    digests/train/shard-00000.parquet    one a picture that was read, by which duplicates are found
    plan/3f2a....parquet                 the annotations that a shard was made from, by which changes are found

`image` is unique in the table: the picture's name, and NAME#2, ... for further garments of a picture (`garments.py`).
A row group holds `GROUP_ITEMS` items: the unit that training reads. A shard that is made anew gets a new name.
"""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.parquet as pq

from fashion.data.schema import ADDRESS, ANNOTATIONS
from fashion.errors import InputError
from fashion.storage import READERS, Store, undamaged

FORMAT = 2
GROUP_ITEMS = 64
MANIFEST = "manifest.json"
FOOTERS_KEPT = 256  # a few KB each

IMAGE = pa.struct(
    [field for field in ANNOTATIONS if field.name not in ("item", ADDRESS.name)]
    # Box and landmarks are in pixels of the packed picture; a null box is the whole picture.
    + [pa.field("width", pa.int32()), pa.field("height", pa.int32()), pa.field("jpeg", pa.large_binary())]
)
ITEMS = pa.schema([pa.field("item", pa.string(), nullable=False), pa.field("images", pa.list_(IMAGE), nullable=False)])
# `place`: where the fault lies, the line of a list or the address of a picture.
QUARANTINE = pa.schema([(name, pa.string()) for name in ("item", "image", "split", "place", "reason")])
DIGESTS = pa.schema([(name, pa.string()) for name in ("item", "image", "digest")])
REJECTED = "quarantine/annotations.parquet"
DUPLICATES = "duplicates.parquet"


@dataclass(frozen=True, kw_only=True)
class ShardInfo:
    """One finished shard as the manifest lists it."""

    split: str
    name: str  # e.g. train/shard-00000
    groups: tuple[int, ...]  # items in each row group
    items: int
    images: int
    bytes: int
    digest: str

    @property
    def file(self) -> str:
        return items_file(self.name)


class ItemTable:
    """A finished item table. Pickles as its address; the manifest is read once a process."""

    def __init__(self, store: Store):
        self.store = store
        self._footers = _Footers()

    def __reduce__(self):
        return ItemTable, (self.store,)

    @cached_property
    def manifest(self) -> dict:
        """Raises InputError where there is no finished table or one of another format."""
        try:
            manifest = self.store.read_json(MANIFEST)
        except FileNotFoundError:
            raise InputError(
                f"{self.store.uri}: no {MANIFEST} there, so no finished item table; make one with jobs/prepare.py"
            ) from None
        if manifest.get("kind") != "item-table" or manifest.get("format") != FORMAT:
            raise InputError(
                f"{self.store.uri}/{MANIFEST}: found {manifest.get('kind')} format {manifest.get('format')}, expected "
                f"item-table format {FORMAT}; prepare the data again with this version"
            )
        return manifest

    @property
    def fingerprint(self) -> str:
        return self.manifest["fingerprint"]

    @property
    def benchmark(self) -> str:
        return self.manifest["settings"]["benchmark"]

    @property
    def positives(self) -> str:
        """What makes two images match here: the same `item`, or, in the category benchmark, the same `category`."""
        return "category" if self.benchmark == "category-attribute" else "item"

    @property
    def categories(self) -> list[str]:
        """The sorted names of all categories."""
        return self.manifest["categories"]

    def check_categories(self, *splits: str) -> None:
        """Raises InputError where the category is what is matched by, and images of the splits have none."""
        for split in splits if self.positives == "category" else ():
            counts = self.manifest["labels"].get(split, {})
            if missing := counts.get("images", 0) - counts.get("category", 0):
                raise InputError(
                    f"{self.store.uri}: {missing} of {counts['images']} {split} images have no category, and this benchmark "
                    "matches by category; prepare the table again, which sets them aside"
                )

    def shards(self, *splits: str) -> list[ShardInfo]:
        """The shards of the splits, in order. Raises InputError where a split has none."""
        found = []
        for split in splits:
            rows = [
                ShardInfo(**{**s, "groups": tuple(s["groups"])}) for s in self.manifest["shards"] if s["split"] == split
            ]
            if not rows:
                held = {s["split"]: 0 for s in self.manifest["shards"]}
                raise InputError(f"{self.store.uri}: no {split} images; the table has {', '.join(held) or 'nothing'}")
            found += rows
        return found

    def read(self, shard: str, group: int | None = None, columns: list[str] | None = None) -> pa.Table:
        """Rows of one shard (or of one of its row groups): `item`, `images`. Raises InputError where the shard is gone."""
        try:
            opened = self.store.open(items_file(shard))
        except FileNotFoundError:
            raise InputError(
                f"{self.store.uri}: {items_file(shard)} is not there any more, so the table was prepared anew while it was "
                "read; run again"
            ) from None
        with opened as source, undamaged(f"{self.store.uri}/{items_file(shard)}"):
            file = pq.ParquetFile(
                source, metadata=self._footers.get(shard), pre_buffer=True, page_checksum_verification=True
            )
            self._footers.put(shard, file.metadata)
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


class _Footers:
    """Footers of the shards read last: a shard is read a row group at a time, and in a bucket each footer is a request."""

    def __init__(self):
        self.held: dict[str, pq.FileMetaData] = {}
        self.lock = threading.Lock()

    def get(self, shard: str) -> pq.FileMetaData | None:
        return self.held.get(shard)

    def put(self, shard: str, footer: pq.FileMetaData) -> None:
        with self.lock:
            self.held.pop(shard, None)
            self.held[shard] = footer
            if len(self.held) > FOOTERS_KEPT:
                self.held.pop(next(iter(self.held)), None)


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


def items_file(shard: str) -> str:
    return f"items/{shard}.parquet"


def quarantine_file(shard: str) -> str:
    return f"quarantine/{shard}.parquet"


def stats_file(shard: str) -> str:
    return f"stats/{shard}.json"


def digests_file(shard: str) -> str:
    return f"digests/{shard}.parquet"


def rows_file(digest: str) -> str:
    return f"plan/{digest}.parquet"

"""Rows of an item table's shards, read from their files; and a row group's items as training reads them."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fashion.data.schema import gone_file, items_file
from fashion.errors import InputError
from fashion.sealed import read_footer
from fashion.storage import READERS, Store, undamaged

SHARDS_KEPT = 256  # a few KB each


class ShardRows(ABC):
    """The rows of the shards at `store`."""

    def __init__(self, store: Store):
        self.store = store
        self._footers, self._gone_lists = _Kept(), _Kept()

    @property
    @abstractmethod
    def gone(self) -> dict[str, str]:
        """Shard -> digest of the list of items that are gone; the table knows."""

    def read(self, shard: str, group: int | None = None, columns: list[str] | None = None) -> pa.Table:
        """Rows of one shard (or of one of its row groups): `item`, `images`. Raises InputError where the shard is gone, or
        damaged."""
        if not (digest := self.gone.get(shard)):
            return self.read_packed(shard, group, columns)
        wanted = columns if columns is None or "item" in columns else [*columns, "item"]
        rows = self.read_packed(shard, group, wanted)
        rows = rows.filter(pc.invert(pc.is_in(rows["item"], self._gone_items(digest))))
        return rows if wanted == columns else rows.drop_columns("item")

    def read_packed(self, shard: str, group: int | None = None, columns: list[str] | None = None) -> pa.Table:
        """As `read`, with the items that are gone; needs no manifest."""
        return self.store.looked_at_twice(lambda: self._read(shard, group, columns))

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


class ItemGroup:
    """Columns of the images of some items, item by item: pictures that nobody chooses stay undisturbed in Arrow's
    memory."""

    def __init__(self, rows: pa.Table):
        images = rows["images"].combine_chunks()
        self.items = rows["item"].to_pylist()
        self.start = (images.offsets.to_numpy() - images.offsets[0].as_py()).tolist()
        flat = images.flatten()
        columns = dict(zip((field.name for field in flat.type), flat.flatten(), strict=True))
        jpegs = columns.pop("jpeg")
        _, ends, data = jpegs.buffers()  # an Arrow scalar for each picture would cost more than copying it
        self.ends = np.frombuffer(ends, np.int64)[jpegs.offset :].tolist()
        self.bytes = memoryview(data).cast("B")  # Arrow says signed bytes, which no header is read from
        self.columns = {name: column.to_pylist() for name, column in columns.items()}

    def of(self, name: str, row: int) -> list:
        """The column's values of one item's images."""
        return self.columns[name][self.start[row] : self.start[row + 1]]

    def pixels(
        self, picture: int, size: int, crop: str, *, fit: str = "stretch", interpolation: str = "bilinear"
    ) -> np.ndarray:
        """A picture, or its box, as uint8 (3, size, size)."""
        from fashion.data.decode import decode  # here: the processes that only plan a feed need not load what decodes

        box = self.columns["box"][picture] if crop == "box" else None
        data = self.bytes[self.ends[picture] : self.ends[picture + 1]]
        return decode(data, size=(size, size), box=box, fit=fit, interpolation=interpolation)


def read_columns(names: list[str]) -> list[str]:
    """Columns of the item table's file that give an ItemGroup with these columns of images."""
    return ["item", *(f"images.list.element.{name}" for name in dict.fromkeys([*names, "jpeg"]))]


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

"""Annotations of images joined from several files, a row an image and item, and handed out as record batches."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from fashion.data.formats.text_table import Warn
from fashion.data.schema import ANNOTATIONS
from fashion.text import some

BATCH_ROWS = 10_000

# Columns of numbers: values a row, and their type. Kept as arrays, a quarter of a million rows take tens of megabytes.
_NUMBERS = {"box": (4, np.int32), "landmarks": (24, np.float32), "clothes_type": (1, np.int8), "pose": (1, np.int8)}


class Images:
    """The rows of a benchmark, in the order they were added, and what is known of each so far. An image that shows
    several items has a row for each."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}  # image -> its first row
        self._more: dict[str, list[int]] = {}  # image -> its further rows
        self._columns: dict[str, list] = {name: [] for name in ANNOTATIONS.names if name not in _NUMBERS}
        self._numbers: dict[str, np.ndarray] = {}
        self._known: dict[str, np.ndarray] = {}  # column -> whether each row has a value

    @classmethod
    def of(cls, name: str, rows: Iterable[tuple[str, dict]], warn: Warn) -> "Images":
        """The images of (image, {column: value}) rows of file `name`; rows that repeat an image with the same item are
        dropped with a warning."""
        images, repeated = cls(), []
        for image, values in rows:
            if images.find(image, values["item"]) is None:
                images.add(image, **values)
            else:
                repeated.append(image)
        if repeated:
            warn(f"{name}: {len(repeated)} rows repeat an image and its item; the first row is used: {some(repeated)}")
        return images

    def __len__(self) -> int:
        return len(self._columns["image"])

    def __contains__(self, image: str) -> bool:
        return image in self._rows

    def __iter__(self) -> Iterator[int]:
        """The numbers of the rows."""
        return iter(range(len(self)))

    def rows(self, image: str) -> list[int]:
        """The image's rows, in their order; none where it has none."""
        return [self._rows[image], *self._more.get(image, ())] if image in self._rows else []

    def find(self, image: str, item: str) -> int | None:
        """The image's row of that item."""
        return next((row for row in self.rows(image) if self._columns["item"][row] == item), None)

    def add(self, image: str, **values: Any) -> int:
        """A new row. All rows are added before the first `join`."""
        assert not self._numbers, "rows are added before values are joined"
        row = len(self)
        if self._rows.setdefault(image, row) != row:
            self._more.setdefault(image, []).append(row)
        for name, column in self._columns.items():
            column.append(image if name == "image" else values.get(name))
        return row

    def value(self, row: int, column: str) -> Any:
        """What `add` or `set` gave for a column that is not of numbers."""
        return self._columns[column][row]

    def set(self, row: int, column: str, value: Any) -> None:
        if column not in _NUMBERS:
            self._columns[column][row] = value
            return
        if column not in self._numbers:
            width, kind = _NUMBERS[column]
            self._numbers[column] = np.zeros((len(self), width), kind)
            self._known[column] = np.zeros(len(self), bool)
        self._numbers[column][row] = value
        self._known[column][row] = True

    def join(self, name: str, rows: Iterable[tuple[str, dict]], warn: Warn) -> None:
        """Set the values of each (image, {column: value}) of file `name`.

        Of an image with rows of several items, the file's first row is the first item's, and so on; a single one is of
        them all. Rows of other images, repeated rows (the first counts) and images without a row are counted and warned
        about.
        """
        seen = bytearray(len(self))
        strange, repeated = 0, []
        first: dict[str, dict] = {}  # of images with several items
        for image, values in rows:
            own = self.rows(image)
            row = next((row for row in own if not seen[row]), None)
            if row is None and own:
                repeated.append(image)
            elif row is None:
                strange += 1
            else:
                seen[row] = True
                self._set(row, values)
                if len(own) > 1:
                    first.setdefault(image, values)
        for image, values in first.items():
            if sum(seen[row] for row in self.rows(image)) == 1:
                for row in self._more[image]:
                    seen[row] = True
                    self._set(row, values)
        missing = len(self) - sum(seen)
        if strange:
            warn(f"{name}: {strange} rows are of images that no evaluation list names; they are left out")
        if repeated:
            warn(f"{name}: {len(repeated)} rows repeat an image; its first row is used: {some(repeated)}")
        if missing:
            warn(f"{name}: no row for {missing} of the {len(self)} images; they stay without these annotations")

    def _set(self, row: int, values: dict) -> None:
        for column, value in values.items():
            self.set(row, column, value)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of schema ANNOTATIONS with at most BATCH_ROWS rows."""
        for start in range(0, len(self), BATCH_ROWS):
            part = slice(start, min(start + BATCH_ROWS, len(self)))
            arrays = [self._array(field, part) for field in ANNOTATIONS]
            yield pa.RecordBatch.from_arrays(arrays, schema=ANNOTATIONS)

    def _array(self, field: pa.Field, part: slice) -> pa.Array:
        if field.name not in _NUMBERS:
            return pa.array(self._columns[field.name][part], field.type)
        if field.name not in self._numbers:
            return pa.nulls(part.stop - part.start, field.type)
        values, unknown = self._numbers[field.name][part], ~self._known[field.name][part]
        if not pa.types.is_list(field.type):
            return pa.array(values[:, 0], field.type, mask=unknown)
        ends = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
        return pa.ListArray.from_arrays(ends, values.ravel(), type=field.type, mask=pa.array(unknown))

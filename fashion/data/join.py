"""Annotations of images joined from several files, one row an image, and handed out as record batches."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from fashion.data.schema import ANNOTATIONS
from fashion.data.tables import Warn

BATCH_ROWS = 10_000

# Columns of numbers: values a row, and their type. Kept as arrays, a quarter of a million rows take tens of megabytes.
_NUMBERS = {"box": (4, np.int32), "landmarks": (24, np.float32), "clothes_type": (1, np.int8), "pose": (1, np.int8)}


class Images:
    """The images of a benchmark, in the order they were added, and what is known of each so far."""

    def __init__(self):
        self._rows: dict[str, int] = {}  # image -> row
        self._columns: dict[str, list] = {name: [] for name in ANNOTATIONS.names if name not in _NUMBERS}
        self._numbers: dict[str, np.ndarray] = {}
        self._known: dict[str, np.ndarray] = {}  # column -> whether each row has a value

    @classmethod
    def of(cls, name: str, rows: Iterable[tuple[str, dict]], warn: Warn) -> "Images":
        """The images of (image, {column: value}) rows of file `name`; repeats are dropped with a warning."""
        images, repeated = cls(), 0
        for image, values in rows:
            if image in images:
                repeated += 1
            else:
                images.add(image, **values)
        if repeated:
            warn(f"{name}: {repeated} rows repeat an image; its first row is used")
        return images

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, image: str) -> bool:
        return image in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def add(self, image: str, **values: Any) -> None:
        """A new row. All rows are added before the first `join`."""
        assert image not in self._rows and not self._numbers, "rows are added once, and before values are joined"
        self._rows[image] = len(self._rows)
        for name, column in self._columns.items():
            column.append(image if name == "image" else values.get(name))

    def value(self, image: str, column: str) -> Any:
        """What `add` or `set` gave for a column that is not of numbers."""
        return self._columns[column][self._rows[image]]

    def set(self, image: str, column: str, value: Any) -> None:
        row = self._rows[image]
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

        Rows of other images, repeated rows (the first counts) and images without a row are counted and warned about.
        """
        seen = bytearray(len(self))
        strange = repeated = 0
        for image, values in rows:
            row = self._rows.get(image)
            if row is None:
                strange += 1
            elif seen[row]:
                repeated += 1
            else:
                seen[row] = True
                for column, value in values.items():
                    self.set(image, column, value)
        missing = len(self) - sum(seen)
        if strange:
            warn(f"{name}: {strange} rows are of images that no evaluation list names; they are left out")
        if repeated:
            warn(f"{name}: {repeated} rows repeat an image; its first row is used")
        if missing:
            warn(f"{name}: no row for {missing} of the {len(self)} images; they stay without these annotations")

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

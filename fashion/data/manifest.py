"""A user's own pictures: one CSV or Parquet file beside them, one row an image.

Columns `image` (its path in the folder), `item` and `domain` (consumer or shop) are required; `split` (train, val or
test; train where it is empty), `role` (query or gallery; given by the plan where it is empty), `category`, `description`,
`attributes` (a list, or text separated by semicolons) and a box, as columns `x1 y1 x2 y2` or as one column `box` (a
list or text), are optional. Other columns are ignored. Rows are read as a stream: memory does not grow with them.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from fashion.data.manifest_files import Rows, find_manifest, read_csv, read_parquet
from fashion.data.schema import ANNOTATIONS, DOMAINS, ROLES, SPLITS
from fashion.data.tables import Warn
from fashion.errors import InputError
from fashion.storage import Store

REQUIRED = ("image", "item", "domain")
CORNERS = ("x1", "y1", "x2", "y2")
TEXTS = (*REQUIRED, "split", "role", "category", "description")
COLUMNS = (*TEXTS, "attributes", "box", *CORNERS)

_LARGEST = 1_000_000  # pixels; a coordinate beyond it is a mistake


def read(source: Store, warn: Warn, *, manifest: str | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of schema ANNOTATIONS in the order of the rows.

    `manifest` names the file in `source`; without it, the single CSV or Parquet file in that folder is read. Raises
    InputError naming the file, and the line or row where one is at fault.
    """
    name = manifest or find_manifest(source)
    rows = (read_parquet if name.lower().endswith(".parquet") else read_csv)(source, name, COLUMNS, REQUIRED)
    for batch in rows:
        yield _convert(name, batch)


def _convert(name: str, rows: Rows) -> pa.RecordBatch:
    """One batch of the file's columns, as read, in the schema."""
    nothing = [None] * len(rows.places)
    out = dict.fromkeys(ANNOTATIONS.names, nothing)
    out |= {column: [_text(cell) for cell in rows.columns.get(column, nothing)] for column in TEXTS}
    out["split"] = [split or "train" for split in out["split"]]
    for column in REQUIRED:
        if None in out[column]:
            place = rows.places[out[column].index(None)]
            raise InputError(f"{name}, {place}: {column} is empty; expected a value in each row")
    for column, choices in (("domain", DOMAINS), ("split", SPLITS), ("role", ROLES)):
        for value in set(out[column]).difference(choices, [None]):
            place = rows.places[out[column].index(value)]
            raise InputError(f"{name}, {place}: {column} {value!r}; expected {' or '.join(choices)}")
    if "attributes" in rows.columns:
        out["attributes"] = [_attributes(cell) for cell in rows.columns["attributes"]]
    out["box"] = _boxes(name, rows) or nothing
    return pa.RecordBatch.from_pydict(out, schema=ANNOTATIONS)


def _boxes(name: str, rows: Rows) -> list[list[int] | None] | None:
    """The box of each row; None where the file has no column for it."""
    sources = [rows.columns[column] for column in ("box", *CORNERS) if column in rows.columns]
    if not sources:
        return None
    boxes = []
    for place, *cells in zip(rows.places, *sources, strict=True):
        try:
            boxes.append(read_box(cells))
        except InputError as fault:
            raise InputError(f"{name}, {place}: {fault}") from None
    return boxes


def _text(cell: Any) -> str | None:
    """The cell as text; None where it is empty."""
    return None if cell is None else str(cell).strip() or None


def _attributes(cell: Any) -> list[str] | None:
    """None where it says nothing: that an image has none of the attributes is a list that is empty."""
    if isinstance(cell, str):
        cell = cell.split(";") if cell.strip() else None
    return None if cell is None else [text for part in cell if (text := _text(part))]


def read_box(cells: Sequence[Any]) -> list[int] | None:
    """x1, y1, x2, y2 from the cells that a row has for them: four numbers, or one list or text of four.

    None where all are empty. Raises InputError where they are not four finite numbers.
    """
    parts: list[Any] = []
    for cell in cells:
        if isinstance(cell, str):
            parts += [part for part in re.split(r"[\s,;()\[\]]+", cell) if part]
        elif cell is not None:
            parts += cell if isinstance(cell, list) else [cell]
    if not parts:
        return None
    try:
        box = [float(part) for part in parts]
    except (TypeError, ValueError):
        box = []
    if len(box) != 4 or not all(abs(value) <= _LARGEST for value in box):  # which NaN is not either
        raise InputError(f"box {parts}; expected the four numbers x1 y1 x2 y2 in pixels, or nothing")
    return [round(value) for value in box]

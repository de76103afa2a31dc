"""A user's own pictures: one CSV or Parquet file beside them, one row an image.

Columns `image` (its path in the folder, or an address), `item` and `domain` (consumer or shop) are required; `split`
(train, val or test; train where it is empty), `role` (query or gallery; given by the plan where it is empty), `category`,
`description`, `attributes` (a list, or text separated by semicolons) and a box, as columns `x1 y1 x2 y2` or as one
column `box` (a list or text), are optional. Other columns are ignored. Rows are read as a stream: memory does not grow
with them. The files are described in docs/manifest.md.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from fashion.data.formats.manifest_columns import Columns, flag
from fashion.data.formats.manifest_rows import Rows, find_manifest, read_rows
from fashion.data.formats.rejects import Reject, Rejects
from fashion.data.formats.text_table import Warn
from fashion.data.pictures.places import locate
from fashion.data.schema import ANNOTATIONS
from fashion.domain import DOMAINS, ROLES, SPLITS
from fashion.errors import InputError
from fashion.storage import Store

REQUIRED = ("image", "item", "domain")
CORNERS = ("x1", "y1", "x2", "y2")
COLUMNS = (*REQUIRED, "split", "role", "category", "description", "attributes", "box", *CORNERS)

_EMPTY = {"", "nan", "NaN", "<NA>"}  # the last three: what pandas writes for a cell without a value
_BETWEEN = re.compile(r"[,;()\[\]]+")  # the numbers of a box
_LARGEST = 1_000_000  # pixels; a coordinate beyond it is a mistake


def read(
    source: Store,
    warn: Warn,
    *,
    manifest: str | None = None,
    columns: Mapping[str, str] | None = None,
    domains: Mapping[str, str] | None = None,
    reject: Reject | None = None,
) -> Iterator[pa.RecordBatch]:
    """Batches of schema ANNOTATIONS in the order of the rows.

    `manifest` names the file in `source`; without it, the single CSV or Parquet file in that folder is read. `columns`:
    field -> name of its column. `domains`: what the file says -> consumer or shop. Rows that cannot be used go to
    `reject`; without it, or where there are no others, InputError is raised at the end that lists them. Raises InputError
    naming the file.
    """
    fields, meant = Columns(COLUMNS, REQUIRED, columns), read_domains(domains)
    name = manifest or find_manifest(source)
    rejects, good = Rejects(), 0

    def tell(place: str, image: str | None, reason: str) -> None:
        if reject:
            reject(place, image, reason)
        if not (reject and good):
            rejects.line(place, image, reason)

    for rows in read_rows(source, name, fields, warn, tell):
        batch = _convert(source, rows, meant, tell)
        good += batch.num_rows
        if batch.num_rows:
            yield batch
    if rejects and not (reject and good):
        raise InputError(f"{len(rejects)} rows cannot be used: {rejects.message()}")


def read_domains(given: Mapping[str, str] | None) -> dict[str, str]:
    """What a cell may say, in small letters -> consumer or shop. Raises InputError."""
    for written, domain in (given or {}).items():
        if domain not in DOMAINS:
            raise InputError(f"domains: found {written}: {domain}, expected {' or '.join(DOMAINS)} on the right")
    return {domain: domain for domain in DOMAINS} | {
        written.casefold(): domain for written, domain in (given or {}).items()
    }


def _convert(source: Store, rows: Rows, domains: Mapping[str, str], reject: Reject) -> pa.RecordBatch:
    """One batch of the file's columns, as read, in the schema, without the rows at fault."""
    nothing: list[Any] = [None] * len(rows.places)
    faults: dict[int, str] = {}  # row -> the first reason against it

    def each(field: str, read_cell: Callable[[Any], Any], cells: Sequence[Any] | None = None) -> list:
        cells = cells or rows.columns.get(field)
        if cells is None:
            return nothing
        try:
            return [read_cell(cell) for cell in cells]
        except ValueError:
            return [tell(i, field, read_cell, cell) for i, cell in enumerate(cells)]

    def tell(i: int, field: str, read_cell: Callable[[Any], Any], cell: Any) -> Any:
        try:
            return read_cell(cell)
        except ValueError as fault:
            faults.setdefault(i, f"{field} {fault}")

    out = dict.fromkeys(ANNOTATIONS.names, nothing)
    inside = rows.addresses or nothing
    places = each(
        "image",
        lambda pair: _image(pair[0], pair[1], source=source),
        list(zip(rows.columns["image"], inside, strict=True)),
    )
    out["image"], out["address"] = ([place and place[i] for place in places] for i in (0, 1))
    out["item"] = each("item", _required)
    out["domain"] = each("domain", lambda cell: _domain(cell, domains))
    out["split"] = [split or "train" for split in each("split", lambda cell: _one_of(cell, SPLITS))]
    out["role"] = each("role", lambda cell: _one_of(cell, ROLES))
    out["category"], out["description"] = each("category", read_text), each("description", read_text)
    out["attributes"] = each("attributes", _attributes)
    corners = [rows.columns[name] for name in ("box", *CORNERS) if name in rows.columns]
    if corners:
        out["box"] = each("box", read_box, list(zip(*corners, strict=True)))
    for i, reason in sorted(faults.items()):
        reject(rows.places[i], out["image"][i], reason)
    good = [i for i in range(len(rows.places)) if i not in faults]
    if faults:
        out = {name: [cells[i] for i in good] for name, cells in out.items()}
    return pa.RecordBatch.from_pydict(out, schema=ANNOTATIONS)


def read_text(cell: Any) -> str | None:
    """The cell as text; None where it is empty. Whole numbers are alike as integers, floats and text: 2, 2.0 and '2'.

    Raises ValueError where it is no single value.
    """
    if cell is None or isinstance(cell, str):
        text = (cell or "").strip()
        return None if text in _EMPTY else text
    if isinstance(cell, bytes):
        try:
            return read_text(cell.decode())
        except UnicodeDecodeError:
            raise ValueError("holds bytes; expected text") from None
    if isinstance(cell, float | Decimal):
        if math.isnan(cell):
            return None
        return str(int(cell)) if math.isfinite(cell) and cell == int(cell) else str(cell)
    if isinstance(cell, list | tuple | dict):
        raise ValueError("holds a list; expected one value")
    return str(cell)


def _image(cell: Any, inside: str | None, source: Store) -> tuple[str, str | None]:
    """(name, address) of an image; `inside`: that of a picture in the file itself."""
    name = _required(cell)
    return (name, inside) if inside else locate(name, source)


def _required(cell: Any) -> str:
    text = read_text(cell)
    if text is None:
        raise ValueError("is empty; expected a value in each row")
    return text


def _domain(cell: Any, domains: Mapping[str, str]) -> str:
    text = _required(cell)
    if text.casefold() not in domains:
        raise ValueError(
            f"{text!r}; expected {' or '.join(domains)}; say what it means with {flag('domains', {text: 'consumer'})}"
        )
    return domains[text.casefold()]


def _one_of(cell: Any, choices: Sequence[str]) -> str | None:
    text = read_text(cell)
    if text is not None and text.casefold() not in choices:
        raise ValueError(f"{text!r}; expected {' or '.join(choices)}")
    return text and text.casefold()


def _attributes(cell: Any) -> list[str] | None:
    """None where it says nothing: that an image has none of the attributes is a list that is empty."""
    if not isinstance(cell, list):
        text = read_text(cell)
        cell = None if text is None else text.split(";")
    return None if cell is None else [text for part in cell if (text := read_text(part))]


def read_box(cells: Sequence[Any]) -> list[int] | None:
    """x1, y1, x2, y2 from the cells that a row has for them: four numbers, or one list or text of four.

    None where all are empty. Raises ValueError where they are not four finite numbers.
    """
    parts: list[Any] = []
    for cell in cells:
        if isinstance(cell, str):
            parts += _BETWEEN.sub(" ", cell).split() if cell.strip() not in _EMPTY else []
        elif isinstance(cell, list):
            parts += cell
        elif cell is not None and cell == cell:  # which NaN is not
            parts.append(cell)
    if not parts:
        return None
    try:
        box = [float(part) for part in parts]
    except (TypeError, ValueError):
        box = []
    if len(box) != 4 or not all(abs(value) <= _LARGEST for value in box):  # which NaN is not either
        shown = [part if isinstance(part, int | float | str) else type(part).__name__ for part in parts[:5]]
        raise ValueError(f"{shown}; expected the four numbers x1 y1 x2 y2 in pixels, or nothing")
    return [round(value) for value in box]

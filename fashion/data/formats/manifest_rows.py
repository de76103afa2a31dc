"""The rows of a user's CSV or Parquet file, a bounded number at a time, each with the place it stands at."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fashion.data.formats.manifest_columns import Columns
from fashion.data.formats.manifest_text import Encoding, damaged, detect, text_lines
from fashion.data.formats.rejects import Reject
from fashion.data.formats.text_table import Warn, own_tables
from fashion.data.pictures.parquet import address, has_bytes, has_paths, holds_pictures
from fashion.errors import InputError
from fashion.storage import Store, undamaged

BATCH_ROWS = 10_000

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, kw_only=True)
class Rows:
    places: Sequence[str]  # of each row, such as "mine.csv, line 7"
    columns: dict[str, Sequence[Any]]  # the cells of each field that the file has
    addresses: Sequence[str | None] | None = None  # of pictures that lie in the file itself


def find_manifest(source: Store) -> str:
    """The single table in the folder. Raises InputError where there is none or are several."""
    tables = own_tables(source)
    if len(tables) != 1:
        raise InputError(
            f"{source.uri}: found {', '.join(tables) or 'no CSV or Parquet file'}, expected one manifest there; "
            "name the file to read with the setting manifest"
        )
    return tables[0]


def read_rows(source: Store, name: str, columns: Columns, warn: Warn, reject: Reject) -> Iterator[Rows]:
    """The rows of the file; what cannot be cut into cells goes to `reject`. Raises InputError."""
    try:
        if name.lower().endswith(".parquet"):
            yield from _read_parquet(source, name, columns)
        else:
            yield from _read_csv(source, name, columns, warn, reject)
    except FileNotFoundError:
        raise InputError(
            f"{name}: not found in {source.uri}; expected the manifest there, a CSV or Parquet file"
        ) from None


def _read_csv(source: Store, name: str, columns: Columns, warn: Warn, reject: Reject) -> Iterator[Rows]:
    """Column names in the first line; every cell is text."""
    encoding = detect(source, name)
    delimiter, header = _header(source, name, encoding, columns)
    where = columns.where(name, header)
    if delimiter != "," or str(encoding) != "UTF-8":
        warn(f"{name}: read as {encoding}, cells separated by {_DELIMITERS[delimiter]}")
    records = _records(source, name, encoding, delimiter, reject)
    next(records)
    good = _whole(name, records, header, where["image"], encoding, reject)
    while chunk := list(islice(good, BATCH_ROWS)):
        yield Rows(
            places=[place for place, _ in chunk],
            columns={field: [row[i] for _, row in chunk] for field, i in where.items()},
        )


def _header(source: Store, name: str, encoding: Encoding, columns: Columns) -> tuple[str, list[str]]:
    """(delimiter, column names): the one which gives most of the fields, then most columns."""
    headers = {}
    for delimiter in _DELIMITERS:
        reader = csv.reader(text_lines(source, name, encoding), delimiter=delimiter, strict=True)
        try:
            headers[delimiter] = [cell.strip() for cell in next((row for row in reader if row), [])]
        except csv.Error:  # as quoted names give where they are cut elsewhere
            headers[delimiter] = []
    best = max(headers, key=lambda delimiter: (columns.known(headers[delimiter]), len(headers[delimiter])))
    return best, headers[best]


def _records(
    source: Store, name: str, encoding: Encoding, delimiter: str, reject: Reject
) -> Iterator[tuple[int, int, list[str]]]:
    """(first line, last line, cells) of every record that is not empty.

    A quote in the wrong place spoils the lines up to it; one that is never closed would swallow all that follows.
    """
    lines = text_lines(source, name, encoding)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as fault:
            if "unexpected end of data" in str(fault) or "field larger than" in str(fault):
                raise InputError(f"{name}, line {first}: a quote opens here or below and is never closed") from None
            _reject_lines(
                name, first, reader.line_num, None, f"{fault}; a quote within quotes is written twice", reject
            )
            continue
        if row is None:
            return
        if row:
            yield first, reader.line_num, row


def _whole(
    name: str,
    records: Iterator[tuple[int, int, list[str]]],
    header: Sequence[str],
    image: int,
    encoding: Encoding,
    reject: Reject,
) -> Iterator[tuple[str, list[str]]]:
    """(place, cells) of the records with a cell for every column, in the file's encoding."""
    for first, last, row in records:
        bad = encoding.bad_lines and any(map(damaged, row))
        if len(row) == len(header) and not bad:
            yield f"{name}, line {first}", row
            continue
        known = row[image].strip() if image < len(row) and not damaged(row[image]) else None
        fault = "bytes that are not UTF-8, as the other lines are"
        if len(row) != len(header):
            fault = f"{len(row)} cells, expected {len(header)}"
        _reject_lines(name, first, last, known, f"found {fault}", reject)


def _reject_lines(name: str, first: int, last: int, image: str | None, reason: str, reject: Reject) -> None:
    """Every line of a record counts: several rows may hide in it."""
    for line in range(first, last + 1):
        reject(f"{name}, line {line}", image, reason)


def _read_parquet(source: Store, name: str, columns: Columns) -> Iterator[Rows]:
    """Cells are strings, numbers, lists or None, a row group held at a time. Pictures in the file are not read."""
    with source.open(name) as stream, undamaged(name, _no_table):
        file = pq.ParquetFile(stream)
        header = file.schema_arrow.names
        where = {field: header[i] for field, i in columns.where(name, header).items()}
        image = file.schema_arrow.field(where["image"])
        inside = holds_pictures(image.type)
        if inside:
            del where["image"]
        read = [*where.values(), *([f"{image.name}.path"] if inside and has_paths(image.type) else [])]
        first = 1
        # One reader a row group: a reader of the whole file holds on to all that it has read so far.
        for group in range(file.num_row_groups):
            start, here = first, inside and has_bytes(file.metadata.row_group(group), image.name)
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=read):
                numbers = range(first, first + batch.num_rows)
                cells = {field: batch.column(column).to_pylist() for field, column in where.items()}
                if inside:
                    cells["image"] = _names(batch, image.name, numbers)
                yield Rows(
                    places=[f"{name}, row {number}" for number in numbers],
                    columns=cells,
                    addresses=[address(name, image.name, group, n - start) for n in numbers] if here else None,
                )
                first += batch.num_rows


def _no_table(name: str, fault: Exception) -> InputError:
    reason = (str(fault).splitlines() or [type(fault).__name__])[0]
    return InputError(f"{name}: {reason}; expected a Parquet file")


def _names(batch: pa.RecordBatch, column: str, numbers: Sequence[int]) -> list[str]:
    """Of pictures in the file: their paths, else the numbers of their rows."""
    paths = batch.column(column).field("path").to_pylist() if column in batch.schema.names else []
    return [path or f"row {number}" for path, number in zip_longest(paths, numbers)]

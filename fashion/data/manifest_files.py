"""The rows of a user's CSV or Parquet file, a bounded number at a time, each with the place it stands at."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fashion.data.tables import raw_lines
from fashion.errors import InputError
from fashion.storage import Store

BATCH_ROWS = 10_000


@dataclass(frozen=True, kw_only=True)
class Rows:
    places: Sequence[str]  # of each row, such as "line 7"
    columns: dict[str, Sequence[Any]]  # the cells of each column that was asked for and is there


def find_manifest(source: Store) -> str:
    """The single CSV or Parquet file in the folder. Raises InputError where there is none or are several."""
    found = [name for name in source.names() if name.lower().endswith((".csv", ".parquet"))]
    if len(found) != 1:
        raise InputError(
            f"{source.uri}: found {', '.join(found) or 'no CSV or Parquet file'}, expected one manifest there; "
            "name the file to read with the setting manifest"
        )
    return found[0]


def read_csv(source: Store, name: str, columns: Sequence[str], required: Sequence[str]) -> Iterator[Rows]:
    """Comma-separated UTF-8 with column names in its first line. Every cell is text; raises InputError."""
    try:
        reader = csv.reader((line.decode() + "\n" for line in raw_lines(source, name)), strict=True)
        header = [cell.strip() for cell in next(reader, [])]
        where = _where(name, header, columns, required)
        rows = ((reader.line_num, row) for row in reader if row)
        while chunk := list(islice(rows, BATCH_ROWS)):
            for line, row in chunk:
                if len(row) != len(header):
                    raise InputError(f"{name}, line {line}: found {len(row)} cells, expected {len(header)}")
            places = [f"line {line}" for line, _ in chunk]
            yield Rows(places=places, columns={c: [row[i] for _, row in chunk] for c, i in where.items()})
    except FileNotFoundError:
        raise _missing(source, name) from None
    except (csv.Error, UnicodeDecodeError) as fault:
        raise InputError(f"{name}: {fault}; expected comma-separated text in UTF-8") from None


def read_parquet(source: Store, name: str, columns: Sequence[str], required: Sequence[str]) -> Iterator[Rows]:
    """Cells are strings, numbers, lists or None, a row group held at a time. Raises InputError."""
    try:
        with source.open(name) as stream:
            file = pq.ParquetFile(stream)
            wanted = list(_where(name, file.schema_arrow.names, columns, required))
            first = 1
            # One reader a row group: a reader of the whole file holds on to all that it has read so far.
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted):
                    places = [f"row {first + i}" for i in range(batch.num_rows)]
                    yield Rows(places=places, columns={c: batch.column(c).to_pylist() for c in wanted})
                    first += batch.num_rows
    except FileNotFoundError:
        raise _missing(source, name) from None
    except pa.ArrowException as fault:
        raise InputError(f"{name}: {str(fault).splitlines()[0]}; expected a Parquet file") from None


def _where(name: str, header: Sequence[str], columns: Sequence[str], required: Sequence[str]) -> dict[str, int]:
    """The position of each of `columns` that the file has."""
    for column in required:
        if column not in header:
            raise InputError(
                f"{name}: no column {column!r} among {', '.join(header) or 'none'}; "
                f"expected at least {', '.join(required)}"
            )
    if len(set(header)) != len(header):
        raise InputError(f"{name}: a column name comes twice among {', '.join(header)}; expected each once")
    return {column: header.index(column) for column in columns if column in header}


def _missing(source: Store, name: str) -> InputError:
    return InputError(f"{name}: not found in {source.uri}; expected the manifest there, a CSV or Parquet file")

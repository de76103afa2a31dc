"""Pictures inside a user's Parquet file: `image: struct<bytes, path>` as Hugging Face has it, or plain binary.

Reading annotations leaves the bytes alone and says where they are; packing a shard picks its pictures out in one pass
over the row groups that hold some, a few rows at a time, so that the file is never held whole. Every shard is such a
pass: for n shards the file is read n times.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from fashion.data.codecs import BadPicture
from fashion.storage import Store, undamaged

_PREFIX = "parquet:"
_ROWS = 64  # read at once
_BUFFER = 1 << 20  # bytes read at once


def holds_pictures(kind: pa.DataType) -> bool:
    """Whether a column of this type has pictures in it, not their paths."""
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return _is_binary(kind)


def has_paths(kind: pa.DataType) -> bool:
    """Whether pictures have names beside them."""
    return pa.types.is_struct(kind) and kind.get_field_index("path") >= 0


def has_bytes(group: pq.RowGroupMetaData, column: str) -> bool:
    """Whether a row group may hold a picture: Hugging Face has paths alone where files lie elsewhere."""
    for i in range(group.num_columns):
        if group.column(i).path_in_schema in (column, f"{column}.bytes"):
            statistics = group.column(i).statistics
            return not (statistics and statistics.has_null_count and statistics.null_count == group.num_rows)
    return False


def address(file: str, column: str, group: int, row: int) -> str:
    """Of the picture in row `row` of row group `group`, in `column` of a struct or of bytes."""
    return _PREFIX + json.dumps([file, column, group, row], ensure_ascii=False)


class ParquetPictures:
    """The pictures inside the Parquet files of a source folder."""

    def __init__(self, source: Store):
        self.source = source
        self._staged: dict[str, bytes | None] = {}

    @staticmethod
    def has(address: str) -> bool:
        return address.startswith(_PREFIX)

    def stage(self, addresses: Iterable[str]) -> None:
        """Read these pictures, for `take` to give out."""
        wanted: dict[tuple[str, str], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for text in addresses:
            file, column, group, row = json.loads(text.removeprefix(_PREFIX))
            wanted[file, column][group].add(row)
        for (name, column), groups in wanted.items():
            for group, row, data in pick(self.source, name, column, groups):
                self._staged[address(name, column, group, row)] = data

    def take(self, address: str) -> bytes:
        """The bytes of a staged picture, once. Raises BadPicture where the row has none."""
        if address not in self._staged:
            self.stage([address])
        data = self._staged.pop(address)
        if not data:
            raise BadPicture("its row in the Parquet file holds no picture")
        return data


def pick(
    source: Store, name: str, column: str, wanted: Mapping[int, Collection[int]]
) -> Iterator[tuple[int, int, bytes | None]]:
    """(row group, row, its bytes) of the rows wanted of each row group, in the order of the file. Raises InputError where it
    is damaged."""
    with source.open(name) as stream, undamaged(name):
        # Not buffered ahead: one row group may be the whole file.
        file = pq.ParquetFile(stream, buffer_size=_BUFFER, pre_buffer=False)
        struct = pa.types.is_struct(file.schema_arrow.field(column).type)
        for group, rows in sorted(wanted.items()):
            start, last = 0, max(rows)
            for batch in file.iter_batches(
                _ROWS, row_groups=[group], columns=[f"{column}.bytes" if struct else column]
            ):
                pictures = batch.column(0).field("bytes") if struct else batch.column(0)
                for row in range(start, start + len(pictures)):
                    if row in rows:
                        yield group, row, pictures[row - start].as_py()
                start += len(pictures)
                if start > last:
                    break


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)

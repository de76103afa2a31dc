"""The list of a long table's shards, in a file beside the manifest that is read a piece at a time: a billion items are a
hundred thousand shards, which as JSON take the better part of a gigabyte in each process that reads them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fashion.data.table_manifest import ListFiles, ShardInfo
from fashion.errors import InputError
from fashion.sealed import digest_of, read_footer, to_json
from fashion.storage import Store, undamaged

MANY = 10_000  # shards: of more, the manifest does not list them itself
PIECE = 1000  # shards that are held at a time
LISTS = "lists"
SCHEMA = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("split", "name", "digest")]
    + [pa.field("groups", pa.list_(pa.int32()), nullable=False)]
    + [pa.field(name, pa.int64(), nullable=False) for name in ("items", "images", "bytes")]
    + [pa.field("gone", pa.string())]
)


def write_lists(out: Store, shards: Sequence[ShardInfo], plan: dict) -> ListFiles:
    """Write the shards, and the record of the plan, each to a file. What an earlier manifest names stays as it is."""
    rows, text = [asdict(shard) for shard in shards], to_json(plan)
    name = f"{LISTS}/{digest_of(text, to_json(rows))}"
    files = ListFiles(shards=f"{name}.parquet", plan=f"{name}.json")
    out.write_table(files.shards, pa.Table.from_pylist(rows, SCHEMA), row_group_size=PIECE)
    out.write(files.plan, text)
    return files


def read_shards(store: Store, name: str, split: str | None = None) -> Iterator[ShardInfo]:
    """As they were written: of one split, or all. Raises InputError where the file is damaged, or gone."""
    for rows in _pieces(store, name, SCHEMA.names):
        if split is not None:
            rows = rows.filter(pc.equal(rows["split"], split))
        for row in rows.to_pylist():
            yield ShardInfo(**row | {"groups": tuple(row["groups"])})


def read_gone(store: Store, name: str) -> dict[str, str]:
    """Shard -> digest of the list of its items that are gone, where there are such. Raises as `read_shards`."""
    return {
        row["name"]: row["gone"]
        for rows in _pieces(store, name, ["name", "gone"])
        for row in rows.filter(rows["gone"].is_valid()).to_pylist()
    }


def _pieces(store: Store, name: str, columns: list[str]) -> Iterator[pa.Table]:
    file = f"{store.uri}/{name}"
    try:
        opened = store.open(name)
    except FileNotFoundError:
        raise InputError(
            f"{file}: is not there any more, so the table was prepared anew while it was read; run again"
        ) from None
    with opened as source, undamaged(file):
        parquet = pq.ParquetFile(source, metadata=read_footer(source), page_checksum_verification=True)
        for piece in range(parquet.num_row_groups):
            yield parquet.read_row_group(piece, columns, use_threads=False)

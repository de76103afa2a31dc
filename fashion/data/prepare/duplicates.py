"""One photo under several items: trained on and tested with where these lie in two splits, and always a false negative.

Digests are compared part by part on disk: what is held in memory is a part, and the duplicates.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.data.prepare.planned import PlannedShard
from fashion.data.prepare.spool import Slots, read_spool
from fashion.data.schema import DIGESTS

LAST = ("test", "val", "train")  # where one of several is kept, the first of these
PART_ROWS = 500_000  # that are compared at once

SCHEMA = pa.schema([*DIGESTS, ("split", pa.string()), ("shard", pa.string())])


def find_duplicates(
    digests: Iterable[pa.Table], rows: int, *, part_rows: int = PART_ROWS
) -> tuple[pa.Table, dict[str, int]]:
    """Tables of `with_shard`, of about so many rows together -> the rows whose digest stands under several items, with
    `keep` for those of the one item that keeps it; and counts.

    A digest's rows are adjacent, the item that keeps it first: in test before val before train, then by its name.
    Counts: `photos`, that stand under several items; `images`, their rows; `across_splits`, photos in more than one
    split; `within_items`, rows that repeat a photo of their own item, which do no harm.
    """
    counts: Counter = Counter()
    duplicates = []
    with tempfile.TemporaryDirectory(prefix="fashion-digests-") as folder:
        parts = Slots(Path(folder) / "parts", -(-max(1, rows) // part_rows), SCHEMA, held=part_rows)
        for table in digests:
            parts.add(table, _numbers(table["digest"]))
        for path in parts.done():  # in the order of the digests
            part, of_part = _in_part(read_spool(path, SCHEMA))
            duplicates.append(part)
            counts.update(of_part)
    return pa.concat_tables(duplicates).combine_chunks(), dict(counts)


def _numbers(digests: pa.ChunkedArray) -> np.ndarray:
    """(N,) uint64, in the order of the digests' first 16 digits."""
    return np.array([int(digest[:16], 16) for digest in digests.to_pylist()], np.uint64)


def _in_part(digests: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """`find_duplicates` of all rows of their digests."""
    pairs = digests.group_by(["digest", "item"]).aggregate([([], "count_all")])
    per_photo = pairs.group_by("digest").aggregate([("item", "count")])
    several = per_photo.filter(pc.greater(per_photo["item_count"], 1))["digest"]
    rows = digests.filter(pc.is_in(digests["digest"], several.combine_chunks()))
    place = pc.index_in(rows["split"], pa.array(LAST))
    rows = rows.append_column("place", place)
    rows = rows.sort_by(
        [("digest", "ascending"), ("place", "ascending"), ("item", "ascending"), ("image", "ascending")]
    )
    keeper: dict[str, str] = {}
    keep = [
        keeper.setdefault(digest, item) == item
        for digest, item in zip(rows["digest"].to_pylist(), rows["item"].to_pylist(), strict=True)
    ]
    splits = rows.group_by("digest").aggregate([("split", "count_distinct")])["split_count_distinct"]
    counts = {
        "photos": len(several),
        "images": rows.num_rows,
        "across_splits": pc.sum(pc.greater(splits, 1), min_count=0).as_py(),
        "within_items": digests.num_rows - pairs.num_rows,
    }
    return rows.drop_columns("place").append_column("keep", pa.array(keep, pa.bool_())), counts


def describe_duplicates(counts: dict[str, int]) -> str:
    """The counts in words."""
    across = f", {counts['across_splits']:,} of them in two splits" if counts["across_splits"] else ""
    return f"{counts['photos']:,} photos stand under several items ({counts['images']:,} images{across})"


def with_shard(digests: pa.Table, shard: PlannedShard) -> pa.Table:
    """Rows of DIGESTS with `split` and `shard`, its name."""
    for name, value in (("split", shard.split), ("shard", shard.name)):
        digests = digests.append_column(name, pa.array([value] * digests.num_rows, pa.string()))
    return digests

"""One photo under several items: trained on and tested with where these lie in two splits, and always a false negative."""

import pyarrow as pa
import pyarrow.compute as pc

from fashion.data.prepare.planned import PlannedShard

LAST = ("test", "val", "train")  # where one of several is kept, the first of these


def find_duplicates(digests: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """Rows of `with_shard` -> those whose digest stands under several items, with `keep` for the rows of the one item
    that keeps it; and counts.

    A digest's rows are adjacent, the item that keeps it first: in test before val before train, then by its name.
    Counts: `photos`, that stand under several items; `images`, their rows; `across_splits`, photos in more than one
    split; `within_items`, rows that repeat a photo of their own item, which do no harm.
    """
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

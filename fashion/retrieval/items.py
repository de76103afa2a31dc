"""A gallery ranked by item: a shard's images as columns of items, each item in one shard."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.products.score import unit_rows
from fashion.retrieval.search.block import Block


def item_columns(number: int, rows: pa.Table, z_ND: np.ndarray, *, by_mean: bool) -> Block:
    """A column an item: with all its images' vectors, or with their mean, brought to unit length. `rows`: of the vectors, by
    item; a column is told of by its first image."""
    item = rows["item"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.r_[len(item) > 0, item[1:] != item[:-1]])
    first = rows.take(pa.array(starts))
    ids = first["item"].combine_chunks()
    vectors = centroids(z_ND, starts) if by_mean else z_ND
    return Block(number=number, vectors=vectors, ids=ids, labels=ids, about=first, starts=None if by_mean else starts)


def centroids(z_ND: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(C, D) float32 mean of each run of rows, brought to unit length; `starts` (C,) ascending, from 0.

    Every addition has its fixed place, so that the result is the same on any machine.
    """
    if not len(starts) or not z_ND.shape[1]:
        return np.zeros((len(starts), z_ND.shape[1]), np.float32)
    sums = np.add.reduceat(z_ND.astype(np.float64), starts, axis=0)
    return unit_rows(sums)


def torn_items(items: pa.Table) -> dict[int, dict[int, pa.Array]]:
    """Items with images in several shards, each of which the first one ranks: number of the shard that ranks them -> number
    of another -> its items of these. `items`: distinct pairs of `item` and `part`."""
    counts = items["item"].value_counts()
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    torn = items.filter(pc.is_in(items["item"], repeated)).to_pylist()
    home: dict[str, int] = {}
    moved: dict[int, dict[int, list[str]]] = {}
    for row in sorted(torn, key=lambda row: (row["item"], row["part"])):
        first = home.setdefault(row["item"], row["part"])
        if first != row["part"]:
            moved.setdefault(first, {}).setdefault(row["part"], []).append(row["item"])
    return {first: {part: pa.array(own) for part, own in others.items()} for first, others in moved.items()}

"""Which items go to which shard of the item table: the annotations are spooled to disk, never held whole.

An item's place depends on the seed and its name alone, so every shard is a fair sample of its split, and the same
annotations give the same shards on any machine. Memory is bounded by `SLOT_IMAGES` rows, whatever the data set's size.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.data.schema import ANNOTATIONS, SPLITS
from fashion.errors import InputError
from fashion.seeds import seed_of

SLOT_IMAGES = 200_000


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The annotations of one shard: whole items of one split, ordered by their hash."""

    split: str
    index: int
    rows: pa.Table

    @property
    def name(self) -> str:
        return shard_name(self.split, self.index)


def shard_name(split: str, index: int) -> str:
    return f"{split}/shard-{index:05d}"


def plan_shards(
    batches: Iterable[pa.RecordBatch], *, shard_images: int, holdout: float, seed: int, slot_images: int = SLOT_IMAGES
) -> Iterator[Shard]:
    """Annotations (schema ANNOTATIONS) in any order -> shards of about `shard_images` images, whole items each.

    Where the benchmark has no validation split, the share `holdout` of the train items becomes one. Raises InputError
    where an item lies in two splits (its pictures would be trained on and tested with) or there is nothing at all.
    """
    with tempfile.TemporaryDirectory(prefix="fashion-plan-") as folder:
        spool = Path(folder) / "spool.arrow"
        counts = _spool(batches, spool)
        total = sum(counts.values())
        if not total:
            raise InputError("the annotations list no image: expected at least one row")
        slots = -(-total // slot_images)
        paths = [spool] if slots == 1 else _distribute(spool, Path(folder), slots, seed)
        held_out = holdout if not counts["val"] else 0.0
        following = dict.fromkeys(SPLITS, 0)
        for path in paths:
            for split, rows in _slot(_read(path), seed, held_out):
                for piece in _cut(rows, shard_images):
                    yield Shard(split=split, index=following[split], rows=piece)
                    following[split] += 1


def _spool(batches: Iterable[pa.RecordBatch], path: Path) -> dict[str, int]:
    counts = dict.fromkeys(SPLITS, 0)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, ANNOTATIONS) as writer:
        for batch in batches:
            writer.write_batch(batch)
            for split, count in zip(*(c.to_pylist() for c in pc.value_counts(batch["split"]).flatten()), strict=True):
                counts[split] += count
    return counts


def _read(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_stream(file).read_all()


def _hashes(items: pa.ChunkedArray | pa.Array, seed: int) -> np.ndarray:
    """(N,) uint64, a seeded hash of each row's item."""
    if isinstance(items, pa.ChunkedArray):
        items = items.combine_chunks()
    coded = items.dictionary_encode()
    values = np.array([seed_of(seed, "shard", item) for item in coded.dictionary.to_pylist()], np.uint64)
    return values[coded.indices.to_numpy(zero_copy_only=False)]


def _distribute(spool: Path, folder: Path, slots: int, seed: int) -> list[Path]:
    """Split the spool by item into slots that fit in memory."""
    paths = [folder / f"slot-{i:05d}.arrow" for i in range(slots)]
    with ExitStack() as stack:
        files = [stack.enter_context(pa.OSFile(str(path), "wb")) for path in paths]
        writers = [stack.enter_context(pa.ipc.new_stream(file, ANNOTATIONS)) for file in files]
        source = stack.enter_context(pa.OSFile(str(spool)))
        for batch in pa.ipc.open_stream(source):
            # The slot comes from the hash's high half: its order inside a slot then stays that of the whole hash.
            slot = (_hashes(batch["item"], seed) >> np.uint64(32)) % np.uint64(slots)
            for i in np.unique(slot):
                writers[int(i)].write_batch(batch.filter(pa.array(slot == i)))
    spool.unlink()
    return paths


def _slot(rows: pa.Table, seed: int, holdout: float) -> Iterator[tuple[str, pa.Table]]:
    """The rows of one slot by split, ordered by item hash, then item, then image; an image once an item."""
    per_item = rows.group_by("item").aggregate([("split", "count_distinct")])
    torn = per_item.filter(pc.greater(per_item["split_count_distinct"], 1))
    if torn.num_rows:
        item = torn["item"][0].as_py()
        splits = sorted(set(rows.filter(pc.equal(rows["item"], item))["split"].to_pylist()))
        raise InputError(
            f"item {item!r} lies in the splits {' and '.join(splits)} ({torn.num_rows} such items): expected all "
            "images of an item in one split, or the test would be trained on; give the item one split"
        )
    hashes = _hashes(rows["item"], seed)
    rows = rows.append_column("hash", pa.array(hashes))
    rows = rows.take(pc.sort_indices(rows, [("hash", "ascending"), ("item", "ascending"), ("image", "ascending")]))
    item, image = (rows[c].to_numpy(zero_copy_only=False) for c in ("item", "image"))
    again = np.r_[False, (item[1:] == item[:-1]) & (image[1:] == image[:-1])]
    rows = rows.filter(pa.array(~again))
    split = rows["split"].to_numpy(zero_copy_only=False).copy()
    if holdout:
        # A second hash: the first decides the place in a shard, and a hold-out must not be a run of neighbours.
        chosen = _hashes(rows["item"], seed_of(seed, "hold-out")) < np.uint64(min(holdout, 1) * float(2**64 - 2048))
        split[(split == "train") & chosen] = "val"
    for name in SPLITS:
        mask = split == name
        if mask.any():
            part = rows.filter(pa.array(mask)).drop_columns("hash")
            part = part.set_column(part.schema.get_field_index("split"), "split", pa.array([name] * part.num_rows))
            yield name, _with_roles(part) if name == "val" and holdout else part


def _with_roles(rows: pa.Table) -> pa.Table:
    """Give held-out images a role each: by domain where an item has both, else first image gallery, second query, ...

    Needed where the benchmark gives none to its train images (in-shop). An item's only image goes to the gallery.
    """
    roles = rows["role"].to_pylist()
    items, domains = rows["item"].to_pylist(), rows["domain"].to_pylist()
    start = 0
    for end in range(1, len(items) + 1):
        if end < len(items) and items[end] == items[start]:
            continue
        if any(role is None for role in roles[start:end]):
            both = len(set(domains[start:end])) == 2
            for i in range(start, end):
                query = domains[i] == "consumer" if both else (i - start) % 2 == 1
                roles[i] = "query" if query else "gallery"
        start = end
    return rows.set_column(rows.schema.get_field_index("role"), "role", pa.array(roles, pa.string()))


def _cut(rows: pa.Table, shard_images: int) -> Iterator[pa.Table]:
    """Cut between items into the number of pieces that comes nearest to `shard_images` images each."""
    item = rows["item"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.r_[True, item[1:] != item[:-1]])
    pieces = max(1, min(len(starts), round(len(item) / shard_images)))
    wanted = np.arange(1, pieces) * len(item) / pieces
    cuts = np.unique(np.r_[0, starts[np.searchsorted(starts, wanted).clip(max=len(starts) - 1)], len(item)])
    for start, end in pairwise(cuts):
        yield rows.slice(start, end - start)

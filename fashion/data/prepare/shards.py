"""Which items go to which shard of the item table: the annotations are spooled to disk, never held whole.

An item's place depends on the seed and its name alone, so every shard is a fair sample of its split, and the same
annotations give the same shards on any machine. A shard is a range of hashes: where annotations change, the ranges of
the earlier plan are kept, so that the other shards stay as they are; a shard that has grown to twice its size is cut.
Memory is bounded by `SLOT_ROWS` rows, whatever the data set's size, but for the names of items that share photos.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.data.prepare.garments import Garments, name_garments, pairs_to_ids, together
from fashion.data.prepare.holdout import HoldOut
from fashion.data.prepare.spool import SLOT_ROWS, distribute, hashes, read_spool, write_spool
from fashion.data.schema import ANNOTATIONS
from fashion.domain import SPLITS
from fashion.errors import InputError
from fashion.seeds import seed_of
from fashion.text import some

GROWN = 2  # a shard of so many times the wanted images is cut

Starts = dict[str, list[int]]  # split -> first hash of each of its shards, ascending
Reject = Callable[[dict, str], None]  # receives a row of ANNOTATIONS that cannot be used, and the reason

_SAYS = ("domain", "category", "role")  # what two rows of one image have to agree in


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The annotations of one shard: whole items of one split, ordered by their hash."""

    split: str
    start: int  # the first hash that belongs here
    rows: pa.Table


def plan_shards(
    batches: Iterable[pa.RecordBatch],
    *,
    shard_images: int,
    holdout: float,
    seed: int,
    earlier: Starts | None = None,
    slot_images: int = SLOT_ROWS,
    warn: Callable[[str], None] = lambda line: None,
    reject: Reject = lambda row, reason: None,
) -> Iterator[Shard]:
    """Annotations (schema ANNOTATIONS) in any order -> shards of about `shard_images` images, whole items each, those
    of a split in the order of their hashes.

    Where there is no validation or test split, the share `holdout` of the train items becomes each (`HoldOut`).
    Items that share a photo are held out together. A picture that shows several garments (items, or boxes) has a row for
    each, with an id of its own. `earlier`: where the shards of an earlier plan begin, which is kept. Two rows of a garment
    that contradict each other are both rejected; equal ones are one. Raises InputError where an item lies in two splits
    (its pictures would be trained on and tested with) or there is nothing at all.
    """
    with tempfile.TemporaryDirectory(prefix="fashion-plan-") as folder:
        spool = Path(folder) / "spool.arrow"
        counts = write_spool(batches, spool)
        total = sum(counts.values())
        if not total:
            raise InputError("the annotations list no image: expected at least one row")
        hold_out = HoldOut.of(counts, holdout=holdout, seed=seed)
        for line in hold_out.notes():
            warn(line)
        slots = -(-total // slot_images)
        paths = distribute([spool], Path(folder) / "pictures", slots, seed, "image")
        linked = _name(paths, warn)
        paths = distribute(paths, Path(folder) / "items", slots, seed, "item")
        cutters = {split: _Cutter(split, shard_images, (earlier or {}).get(split)) for split in SPLITS}
        repeated, present = Counter(), set()
        for path in paths:
            for split, rows in _slot(read_spool(path), seed, hold_out, linked, reject, repeated):
                present.add(split)
                yield from cutters[split].add(rows)
        for cutter in cutters.values():
            yield from cutter.rest()
        for split in sorted(hold_out.shares.keys() - present):
            warn(f"{split}: none of the few train items fell into its share; raise holdout to have some")
        if repeated["rows"]:
            warn(f"{repeated['rows']} rows repeat an image of the same item and box; the first of each is used")


class _Cutter:
    """Rows of one split with their `hash`, in ascending order and slot by slot -> its shards."""

    def __init__(self, split: str, images: int, starts: list[int] | None):
        self.split, self.images = split, images
        self.starts = np.array(starts or [], np.uint64)
        self.begun = False
        self.number, self.waiting = -1, []  # the earlier shard that the next slot may go on with

    def add(self, rows: pa.Table) -> Iterator[Shard]:
        if not len(self.starts):  # a first plan
            yield from self._pieces(rows, _hash(rows, 0) if self.begun else 0)
            self.begun = True
            return
        numbers = np.searchsorted(self.starts, rows["hash"].to_numpy(), side="right").clip(1) - 1
        edges = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1], True])
        for low, high in pairwise(edges):
            if numbers[low] != self.number:
                yield from self.rest()
                self.number = int(numbers[low])
            self.waiting.append(rows.slice(low, high - low))

    def rest(self) -> Iterator[Shard]:
        """What is held back."""
        if self.waiting:
            rows, self.waiting = pa.concat_tables(self.waiting), []
            grown = rows.num_rows > GROWN * self.images
            yield from self._pieces(rows, int(self.starts[self.number]), cut=grown)

    def _pieces(self, rows: pa.Table, start: int, *, cut: bool = True) -> Iterator[Shard]:
        for number, piece in enumerate(_cut(rows, self.images) if cut else [rows]):
            first = _hash(piece, 0) if number else start
            yield Shard(split=self.split, start=first, rows=piece.drop_columns("hash").combine_chunks())


def _hash(rows: pa.Table, row: int) -> int:
    return rows["hash"][row].as_py()


def _name(paths: list[Path], warn: Callable[[str], None]) -> dict[str, str]:
    """Write an id for each garment in place of the picture's name. Returns the items that share photos, each with the one
    that stands for them all."""
    parts: list[Garments] = []
    for path in paths:
        garments = name_garments(read_spool(path))
        write_spool(garments.rows.to_batches(), path)
        parts.append(replace(garments, rows=ANNOTATIONS.empty_table()))
    if several := sum(part.several for part in parts):
        warn(
            f"{several:,} photos show several garments, each a row of its own (ids NAME, NAME#2, ...); cut to the boxes "
            "(--crop true, or --batch.crop box in training) each is seen by itself"
        )
    if shared := [text for part in parts for text in part.shared]:
        warn(f"{len(shared):,} photos show items of different splits: {some(shared)}; give these items one split")
    return together(items for part in parts for items in part.linked)


def _slot(
    rows: pa.Table, seed: int, hold_out: HoldOut, linked: Mapping[str, str], reject: Reject, repeated: Counter
) -> Iterator[tuple[str, pa.Table]]:
    """The rows of one slot by split, ordered by item hash, then item, then image; an image once an item. They have the
    `hash` beside the columns of ANNOTATIONS."""
    per_item = rows.group_by("item").aggregate([("split", "count_distinct")])
    torn = per_item.filter(pc.greater(per_item["split_count_distinct"], 1))
    if torn.num_rows:
        item = torn["item"][0].as_py()
        splits = sorted(set(rows.filter(pc.equal(rows["item"], item))["split"].to_pylist()))
        raise InputError(
            f"item {item!r} lies in the splits {' and '.join(splits)} ({torn.num_rows} such items): expected all "
            "images of an item in one split, or the test would be trained on; give the item one split"
        )
    rows = rows.append_column("hash", pa.array(hashes(rows["item"], seed)))
    rows = rows.take(pc.sort_indices(rows, [("hash", "ascending"), ("item", "ascending"), ("image", "ascending")]))
    rows = pairs_to_ids(_once(rows, reject, repeated))
    split = rows["split"].to_numpy(zero_copy_only=False)
    if hold_out.shares:
        split = hold_out.splits(split, hashes(rows["item"], seed_of(seed, "hold-out"), linked))
    for name in SPLITS:
        mask = split == name
        if mask.any():
            part = rows.filter(pa.array(mask))
            part = part.set_column(part.schema.get_field_index("split"), "split", pa.array([name] * part.num_rows))
            yield name, hold_out.roles(part, name)


def _once(rows: pa.Table, reject: Reject, repeated: Counter) -> pa.Table:
    """The first row of each image of an item, `rows` being sorted; none where they contradict each other."""
    item, image = (rows[c].to_numpy(zero_copy_only=False) for c in ("item", "image"))
    again = np.r_[False, (item[1:] == item[:-1]) & (image[1:] == image[:-1])]
    if not again.any():
        return rows
    group = np.cumsum(~again) - 1
    bad = np.zeros(len(again), bool)
    for column in _SAYS:
        cells = rows[column].to_numpy(zero_copy_only=False)
        differs = again & np.r_[False, cells[1:] != cells[:-1]]
        for of in np.unique(group[differs]):
            alike = group == of
            values = " and ".join(sorted({str(value or "none") for value in cells[alike]}))
            for row in rows.filter(pa.array(alike & ~bad)).drop_columns("hash").to_pylist():
                reject(row, f"the rows of this image contradict each other: {column} {values}")
            bad |= alike
    repeated["rows"] += int((again & ~bad).sum())
    return rows.filter(pa.array(~again & ~bad))


def _cut(rows: pa.Table, shard_images: int) -> Iterator[pa.Table]:
    """Cut between items into the number of pieces that comes nearest to `shard_images` images each."""
    item = rows["item"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.r_[True, item[1:] != item[:-1]])
    pieces = max(1, min(len(starts), round(len(item) / shard_images)))
    wanted = np.arange(1, pieces) * len(item) / pieces
    cuts = np.unique(np.r_[0, starts[np.searchsorted(starts, wanted).clip(max=len(starts) - 1)], len(item)])
    for start, end in pairwise(cuts):
        yield rows.slice(start, end - start)

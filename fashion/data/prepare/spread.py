"""The annotations of a whole source, put in order on disk: slot by slot of the items' hashes, named, held out, given roles.

Memory is bounded by `SLOT_ROWS` rows, whatever the data set's size, but for the names of items that share photos.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
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

Reject = Callable[[dict, str], None]  # receives a row of ANNOTATIONS that cannot be used, and the reason

_SAYS = ("domain", "category", "role")  # what two rows of one image have to agree in


@dataclass(frozen=True, kw_only=True)
class Slot:
    """All items whose hashes lie in low .. high - 1."""

    low: int
    high: int
    parts: list[tuple[str, pa.Table]]  # split, its rows: ANNOTATIONS and `hash`, ordered by hash, item and image


def spread(
    batches: Iterable[pa.RecordBatch],
    *,
    holdout: float,
    seed: int,
    slot_images: int = SLOT_ROWS,
    least_slots: int = 1,
    warn: Callable[[str], None] = lambda line: None,
    reject: Reject = lambda row, reason: None,
) -> Iterator[Slot]:
    """Annotations (schema ANNOTATIONS) in any order -> all of them in the order of their items' hashes.

    Where there is no validation or test split, the share `holdout` of the train items becomes each (`HoldOut`).
    Items that share a photo are held out together. A picture that shows several garments (items, or boxes) has a row for
    each, with an id of its own. Two rows of a garment that contradict each other are both rejected; equal ones are one.
    Raises InputError where an item lies in two splits (its pictures would be trained on and tested with) or there is
    nothing at all.
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
        slots = max(least_slots, -(-total // slot_images))
        if slots > 1:
            place = tempfile.gettempdir()
            warn(f"{total:,} rows of annotations are put in order on disk, in {slots} parts under {place} (TMPDIR)")
        paths = distribute([spool], Path(folder) / "pictures", slots, seed, "image")
        linked = _name(paths, warn)
        paths = distribute(paths, Path(folder) / "items", slots, seed, "item")
        repeated: Counter[str] = Counter()
        present: set[str] = set()
        for number, path in enumerate(paths):
            parts = list(_slot(read_spool(path), seed, hold_out, linked, reject, repeated))
            present |= {split for split, _ in parts}
            yield Slot(low=_first(number, slots), high=_first(number + 1, slots), parts=parts)
        for split in sorted(hold_out.shares.keys() - present):
            warn(f"{split}: none of the few train items fell into its share; raise holdout to have some")
        if repeated["rows"]:
            warn(f"{repeated['rows']} rows repeat an image of the same item and box; the first of each is used")


def _first(slot: int, slots: int) -> int:
    """The first hash of a slot, as `Slots` has it."""
    return -(-(slot << 32) // slots) << 32


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

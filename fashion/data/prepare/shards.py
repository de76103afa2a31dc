"""Which items go to which shard of the item table.

An item's place depends on the seed and its name alone, so every shard is a fair sample of its split, and the same
annotations give the same shards on any machine. A shard is a range of hashes: where annotations change, the ranges of
the earlier plan are kept, so that the other shards stay as they are; a shard that has grown to twice its size is cut.
Where that would pack too much again, what is new goes to shards of its own: `layers`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from fashion.data.prepare.spread import Slot
from fashion.domain import SPLITS

GROWN = 2  # a shard of so many times the wanted images is cut

Starts = dict[str, list[int]]  # split -> first hash of each of its shards, ascending


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The annotations of one shard: whole items of one split, ordered by their hash."""

    split: str
    start: int  # the first hash that belongs here
    rows: pa.Table


def cut_shards(slots: Iterable[Slot], shard_images: int, earlier: Starts | None = None) -> Iterator[Shard]:
    """Shards of about `shard_images` images, whole items each, those of a split in the order of their hashes.

    `earlier`: where the shards of an earlier plan begin, which is kept."""
    cutters = {split: _Cutter(split, shard_images, (earlier or {}).get(split)) for split in SPLITS}
    for slot in slots:
        for split, rows in slot.parts:
            yield from cutters[split].add(rows)
    for cutter in cutters.values():
        yield from cutter.rest()


class _Cutter:
    """Rows of one split with their `hash`, in ascending order and slot by slot -> its shards."""

    def __init__(self, split: str, images: int, starts: list[int] | None):
        self.split, self.images = split, images
        self.starts = np.array(starts or [], np.uint64)
        self.begun = False
        self.number = -1  # of the earlier shard that the next slot may go on with
        self.waiting: list[pa.Table] = []

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


def _cut(rows: pa.Table, shard_images: int) -> Iterator[pa.Table]:
    """Cut between items into the number of pieces that comes nearest to `shard_images` images each."""
    item = rows["item"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.r_[True, item[1:] != item[:-1]])
    pieces = max(1, min(len(starts), round(len(item) / shard_images)))
    wanted = np.arange(1, pieces) * len(item) / pieces
    cuts = np.unique(np.r_[0, starts[np.searchsorted(starts, wanted).clip(max=len(starts) - 1)], len(item)])
    for start, end in pairwise(cuts):
        yield rows.slice(start, end - start)


class EvenCutter:
    """Rows of one split with their `hash`, in ascending order, `total` of them -> shards as even as whole items allow."""

    def __init__(self, split: str, total: int, shard_images: int):
        self.split = split
        pieces = max(1, round(total / shard_images))
        self.ends = [number * total / pieces for number in range(1, pieces)]  # of all shards but the last, in rows
        self.waiting: list[pa.Table] = []
        self.cut = 0  # rows that are in shards

    def add(self, rows: pa.Table) -> Iterator[Shard]:
        """`rows`: whole items."""
        self.waiting.append(rows)
        if not self.ends or self.cut + sum(part.num_rows for part in self.waiting) < self.ends[0]:
            return
        rows, begun = pa.concat_tables(self.waiting).combine_chunks(), 0
        hashes = rows["hash"].to_numpy()
        items = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]])
        while self.ends and (place := np.searchsorted(items, self.ends[0] - self.cut + begun)) < len(items):
            self.ends.pop(0)
            if items[place] > begun:  # else one item reaches beyond the end of two shards
                yield self._shard(rows.slice(begun, items[place] - begun))
                begun = int(items[place])
        self.waiting = [rows.slice(begun)]

    def rest(self) -> Iterator[Shard]:
        if any(part.num_rows for part in self.waiting):
            yield self._shard(pa.concat_tables(self.waiting))

    def _shard(self, rows: pa.Table) -> Shard:
        start = _hash(rows, 0) if self.cut else 0
        self.cut += rows.num_rows
        return Shard(split=self.split, start=start, rows=rows.drop_columns("hash").combine_chunks())

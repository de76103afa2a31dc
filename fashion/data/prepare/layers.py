"""A large table that grows: what is new goes to shards of its own, and of old shards what left is only listed as gone.

A growth of a hundredth touches nearly every shard of a large table, since a shard is a range of hashes: to keep the ranges
would pack the whole table again. So the new and changed items of one growth become a layer of shards beside the earlier
ones, each a fair sample of the layer. Old shards keep their files, unless they have lost much, or too many small ones have
piled up: the items of these go to the new layer too, their pictures being taken over.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.data.prepare.gone import live_stats, write_gone
from fashion.data.prepare.growth import HOME, SOURCES, Growth, Held
from fashion.data.prepare.planned import PlannedShard
from fashion.data.prepare.shards import EvenCutter, Shard
from fashion.data.prepare.spool import hashes
from fashion.data.prepare.stats import read_stats
from fashion.data.prepare.versions import digest_of_rows, versioned
from fashion.data.schema import ANNOTATIONS, VERSION, rows_file
from fashion.domain import SPLITS
from fashion.storage import READERS, Store

KEPT = 0.75  # a shard of which less than this share is left is packed anew
SMALL = 0.5  # of the wanted images: below it a shard is small
PILE = 8  # small shards of a split that may pile up

_HASHES = 1 << 64


@dataclass(frozen=True, kw_only=True)
class Layers:
    """How a table grows."""

    stay: dict[int, PlannedShard]  # by their numbers in `held`, with what is gone of them
    merged: set[int]  # numbers of the shards whose items go to the new layer
    left: int  # items that are gone of those that stay

    def message(self, *, new: int) -> str:
        """The line for the user; `new`: shards of the new layer."""
        gone = f", {self.left:,} items that left them being listed as gone" if self.left else ""
        merged = (
            f"; the items of {len(self.merged):,} small or thinned shards go to the new ones" if self.merged else ""
        )
        return f"the table grows by {new:,} shards; {len(self.stay):,} stay as they are{gone}{merged}"


def packed_in_place(growth: Growth) -> int:
    """Images that would be packed again if all went to the shards in whose ranges it lies."""
    newest = growth.earlier.plans[0]
    held = {(h.shard.split, h.shard.start): h for h in growth.held if h.shard in newest}
    touched = growth.touched | {place for place, h in held.items() if h.lost}
    return sum(held[place].kept for place in touched if place in held)


def decide_layers(growth: Growth, shard_images: int, seed: int) -> Layers:
    """Which shards stay; lists of what is gone of them are written."""
    out = growth.earlier.out
    alive = [number for number, held in enumerate(growth.held) if held.kept]
    merged = {number for number in alive if growth.held[number].kept < KEPT * growth.held[number].rows}

    def gone(number: int) -> tuple[str | None, int, bool]:
        return _gone(out, growth.held[number], seed)

    with ThreadPoolExecutor(READERS) as pool:
        numbers = [number for number in alive if number not in merged]
        lists = dict(zip(numbers, pool.map(gone, numbers), strict=True))
    merged |= {number for number, (_, _, hollow) in lists.items() if hollow}
    for split in SPLITS:
        rest = [number for number in alive if number not in merged and growth.held[number].shard.split == split]
        small = [number for number in rest if growth.held[number].kept < SMALL * shard_images]
        merged |= set(small) if len(small) > PILE else set()
    stay = {
        n: replace(growth.held[n].shard, images=growth.held[n].kept, gone=digest, old=None, sources=())
        for n, (digest, _, _) in lists.items()
        if n not in merged
    }
    return Layers(stay=stay, merged=merged, left=sum(left for n, (_, left, _) in lists.items() if n not in merged))


def _gone(out: Store, held: Held, seed: int) -> tuple[str | None, int, bool]:
    """(digest of the list of items that are gone of a shard, how many they are, whether a row group would be empty)."""
    if not held.lost:
        return None, 0, False
    items = out.read_table(rows_file(held.shard.rows), ["item"])["item"].unique()
    lost = items.filter(pa.array(np.isin(hashes(items, seed), np.concatenate(held.lost)))).to_pylist()
    digest = write_gone(out, lost)
    stats = live_stats(out, replace(held.shard, gone=digest), read_stats(out, held.shard.name))
    return digest, len(lost), 0 in stats.groups


def new_layer(
    growth: Growth, layers: Layers, shard_images: int, new_name: Callable[[str], str]
) -> Iterator[tuple[PlannedShard, pa.Table]]:
    """The shards of the new layer, and their rows: annotations, with VERSION where it is known."""
    layer = 1 + max(held.shard.layer for held in growth.held) if layers.stay else 0
    totals = {split: growth.loose[split] for split in SPLITS}
    for number in layers.merged:
        totals[growth.held[number].shard.split] += growth.held[number].kept
    cutters = {split: EvenCutter(split, total, shard_images) for split, total in totals.items()}
    homes = pa.array([-1, *sorted(layers.merged)], HOME.type)

    def planned(shard: Shard) -> tuple[PlannedShard, pa.Table]:
        sources = {number for numbers in shard.rows[SOURCES.name].to_pylist() for number in numbers}
        rows = shard.rows.select(ANNOTATIONS.names)
        annotations = digest_of_rows(rows)
        rows, digest = versioned(rows, annotations, shard.rows[VERSION.name].to_pylist())
        return PlannedShard(
            split=shard.split,
            start=shard.start,
            images=rows.num_rows,
            annotations=annotations,
            rows=digest,
            name=new_name(shard.split),
            layer=layer,
            sources=tuple((growth.held[n].shard.name, growth.held[n].shard.rows) for n in sorted(sources)),
        ), rows

    for slot in growth.today():
        for split, rows in slot.parts:
            rows = rows.filter(pc.is_in(rows[HOME.name], homes))
            yield from map(planned, cutters[split].add(rows) if rows.num_rows else ())
    for cutter in cutters.values():
        yield from map(planned, cutter.rest())


def in_order(shards: list[PlannedShard]) -> list[PlannedShard]:
    """Ordered by split, then by the middle of their ranges: the first part of a split is one of every layer."""
    middle: dict[str, int] = {}
    places: dict[tuple[str, int], list[PlannedShard]] = {}
    for shard in sorted(shards, key=lambda shard: shard.start):
        places.setdefault((shard.split, shard.layer), []).append(shard)
    for layer in places.values():
        ends = [*(shard.start for shard in layer[1:]), _HASHES]
        middle |= {shard.name: shard.start + end for shard, end in zip(layer, ends, strict=True)}
    return sorted(shards, key=lambda s: (SPLITS.index(s.split), middle[s.name], s.layer, s.start, s.name))

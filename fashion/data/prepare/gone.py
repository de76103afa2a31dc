"""Items that a shard's files hold and the table does not any more: listed beside the shard, which stays as it is."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from fashion.data.prepare.planned import PlannedShard
from fashion.data.prepare.stats import PackStats
from fashion.data.schema import GONE, GROUP_ITEMS, digests_file, gone_file, quarantine_file
from fashion.storage import Store


def write_gone(out: Store, items: Iterable[str]) -> str:
    """The digest that names the list."""
    rows = pa.table({"item": sorted(items)}, schema=GONE)
    digest = hashlib.blake2b("\0".join(rows["item"].to_pylist()).encode(), digest_size=16).hexdigest()
    out.write_table(gone_file(digest), rows)
    return digest


def without_gone(out: Store, shard: PlannedShard, rows: pa.Table) -> pa.Table:
    """Rows with `item` of a shard's files -> those of the table."""
    if not shard.gone:
        return rows
    items = out.read_table(gone_file(shard.gone))["item"]
    return rows.filter(pc.invert(pc.is_in(rows["item"], items.combine_chunks())))


def live_stats(out: Store, shard: PlannedShard, stats: PackStats) -> PackStats:
    """The stats of a shard's files -> of what the table has of them; `bytes` stay those of the files."""
    if not shard.gone:
        return stats
    gone = set(out.read_table(gone_file(shard.gone))["item"].to_pylist())
    images = images_of_items(out, shard.name, stats)
    groups = [
        sum(item not in gone for item, _ in images[start : start + GROUP_ITEMS])
        for start in range(0, len(images), GROUP_ITEMS)
    ]
    reasons: Counter[str] = Counter()
    if stats.bad:
        bad = out.read_table(quarantine_file(shard.name))
        pairs = zip(bad["item"].to_pylist(), bad["reason"].to_pylist(), strict=True)
        reasons.update(reason for item, reason in pairs if item not in gone)
    return replace(
        stats,
        groups=tuple(groups),
        items=sum(groups),
        images=sum(count for item, count in images if item not in gone),
        bad=reasons.total(),
        reasons=dict(reasons),
        dropped=tuple(key for key in stats.dropped if key[0] not in gone),
        digest=hashlib.blake2b(f"{stats.digest} {shard.gone}".encode(), digest_size=16).hexdigest(),
        gone=shard.gone,
    )


def images_of_items(out: Store, name: str, stats: PackStats) -> list[tuple[str, int]]:
    """(item, its images) in the order of the rows of a finished shard's file."""
    digests = out.read_table(digests_file(name), ["item", "image"])
    dropped = set(stats.dropped)
    keys = zip(digests["item"].to_pylist(), digests["image"].to_pylist(), strict=True)
    kept = (key for key in keys if key not in dropped)
    return [(item, sum(1 for _ in group)) for item, group in groupby(kept, key=lambda key: key[0])]

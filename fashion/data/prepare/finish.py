"""The end of prepare: the manifest of an item table, and what it no longer needs."""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc

from fashion.data import shard_list
from fashion.data.prepare.counts import FIELDS
from fashion.data.prepare.planned import WEB, PlannedShard, TablePlan
from fashion.data.prepare.stats import PackStats
from fashion.data.schema import (
    ADDRESS,
    LONG,
    MANIFEST,
    REJECTED,
    digests_file,
    gone_file,
    items_file,
    quarantine_file,
    rows_file,
    stats_file,
)
from fashion.data.settings import TableSettings
from fashion.data.shard_list import write_lists
from fashion.data.table_manifest import LabelledImages, ListFiles, TableManifest
from fashion.json_values import of_plain, to_plain
from fashion.provenance import now, versions
from fashion.storage import READERS, Store


def counts_of(stats: Iterable[PackStats]) -> dict[str, int]:
    """Sums over the stats of shards."""
    rows = list(stats)
    return {name: sum(getattr(row, name) for row in rows) for name in ("items", "images", "bad", "bytes")}


def finish(source: Store, out: Store, settings: TableSettings, plan: TablePlan, duplicates: dict[str, int]) -> None:
    """Write the manifest; then delete what no shard of it needs."""
    stats = [plan.finished[shard.name] for shard in plan.shards]
    shards = tuple(row.info for row in stats if row.items)
    identity = {
        "annotations": [shard.annotations for shard in plan.shards],
        "shards": [shard.digest for shard in shards],
    }
    counts = counts_of(stats)
    metadata = {name: plan.metadata[name] for name in ("categories", "domains", *FIELDS)}
    metadata["labels"] = {split: of_plain(LabelledImages, row) for split, row in metadata["labels"].items()}
    record = to_plain(plan.record)
    lists = write_lists(out, shards, record) if len(shards) > shard_list.MANY else None
    manifest = TableManifest(
        format=LONG if lists else plan.format,
        fingerprint=hashlib.blake2b(json.dumps(identity).encode(), digest_size=8).hexdigest(),
        source=source.uri,
        settings=asdict(settings),
        counts=counts | {"bad": counts["bad"] + plan.rejected},
        quarantined=dict(plan.all_reasons),
        duplicates=duplicates,
        splits={
            split: counts_of(row for row in stats if row.split == split)
            for split in dict.fromkeys(row.split for row in stats)
        },
        **metadata,
        shards=None if lists else shards,
        plan=None if lists else record,
        lists=lists,
        versions=versions(),
        created=now(),
    )
    out.write_value(MANIFEST, manifest)
    if plan.metadata.get("signed"):
        _forget_addresses(out, plan)
    _tidy(out, plan, lists)


def _forget_addresses(out: Store, plan: TablePlan) -> None:
    """The addresses of pictures on the web may hold keys, which are not to be kept."""

    def forget(shard: PlannedShard) -> None:
        rows = out.read_table(rows_file(shard.rows))
        addresses = rows[ADDRESS.name]
        kept = pc.if_else(pc.starts_with(addresses, WEB), pa.scalar(None, addresses.type), addresses)
        if kept.null_count == addresses.null_count:  # of an earlier run
            return
        out.write_table(
            rows_file(shard.rows), rows.set_column(rows.schema.get_field_index(ADDRESS.name), ADDRESS, kept)
        )

    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(forget, plan.shards))


def _tidy(out: Store, plan: TablePlan, lists: ListFiles | None) -> None:
    """Delete the files of shards that are no more, and the lists of earlier ones."""
    files = (items_file, quarantine_file, stats_file, digests_file)
    needed = {file(shard.name) for shard in plan.shards for file in files} | {REJECTED}
    needed |= {rows_file(shard.rows) for shard in plan.shards}
    needed |= {gone_file(shard.gone) for shard in plan.shards if shard.gone}
    needed |= {lists.shards, lists.plan} if lists else set()
    there = [
        name
        for folder in ("items", "quarantine", "stats", "digests", "plan", "gone", shard_list.LISTS)
        for name in out.names(folder, recursive=True)
    ]
    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(out.delete, [name for name in there if name not in needed]))

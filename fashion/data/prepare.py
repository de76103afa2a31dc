"""From annotations and pictures to the item table, as a Ray Data job over shards.

The plan (which images in which shard) is made first; then each shard is packed by one task, its stats file written last;
then the manifest. A rerun packs only the shards without stats, those with pictures that could not be used, and those
whose annotations have changed since.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, replace

import pyarrow as pa
import pyarrow.compute as pc

from fashion.capacity import machines
from fashion.data.duplicates import find_duplicates, say_duplicates
from fashion.data.earlier import Earlier
from fashion.data.label_counts import FIELDS
from fashion.data.pack import Key
from fashion.data.pack_job import ShardPacker
from fashion.data.planned import PLAN, PlannedShard, TablePlan
from fashion.data.table import (
    DUPLICATES,
    FORMAT,
    MANIFEST,
    REJECTED,
    ItemTable,
    ShardInfo,
    digests_file,
    items_file,
    quarantine_file,
    rows_file,
    stats_file,
)
from fashion.data.table_plan import plan_table
from fashion.data.table_settings import TableSettings
from fashion.errors import InputError
from fashion.provenance import now, versions
from fashion.storage import READERS, Store

__all__ = ["TableSettings", "TooManyBadPictures", "needs_ray", "plan_table", "prepare"]

Work = tuple[PlannedShard, list[Key] | None]  # a shard, and the pictures of it that are left out; None: as before
Show = Callable[[int, int, dict], None]


class TooManyBadPictures(Exception):
    """More pictures than the settings allow cannot be used; nothing but the manifest is missing."""


def prepare(
    source: Store,
    out: Store,
    settings: TableSettings,
    *,
    task_cpus: float = 1.0,
    warn: Callable[[str], None],
    progress: Show,
    plan: TablePlan | None = None,
) -> ItemTable:
    """Make (or finish, or bring up to date) the item table at `out`. Needs a running Ray where `needs_ray` of the plan;
    `plan`: where it was made already.

    `progress(images done, images in all, counts)` after each shard. Raises InputError for bad input, and
    TooManyBadPictures.
    """
    plan = plan or plan_table(source, out, settings, warn=warn)
    stats = _pack_left(plan, source, out, settings, task_cpus, progress)
    plan = plan.packed_as(stats)
    _check_bad(plan, out, settings)
    if not plan.changed and _is_as_told(out, plan, settings):
        return ItemTable(out)
    duplicates, counts = find_duplicates(_digests(out, plan))
    _tell_duplicates(out, plan, duplicates, counts, settings, warn)
    drop = duplicates.filter(pc.invert(duplicates["keep"])) if settings.duplicates == "drop" else duplicates.slice(0, 0)
    plan = _leave_out(drop, plan, source, out, settings, task_cpus)
    _finish(source, out, settings, plan, counts)
    return ItemTable(out)


def needs_ray(plan: TablePlan, settings: TableSettings) -> bool:
    """Whether there may be a shard to pack."""
    dropped = any(stats["dropped"] for stats in plan.finished.values())
    return bool(plan.left) or dropped or settings.duplicates == "drop"


def _pack_left(
    plan: TablePlan, source: Store, out: Store, settings: TableSettings, task_cpus: float, progress: Show
) -> list[dict]:
    """Stats of all shards, in their order, those that are left being packed."""
    found = {shard.name: plan.finished[shard.name] for shard in plan.shards if shard.name in plan.finished}
    images = {shard.name: shard.images for shard in plan.shards}
    total = sum(images.values())

    def show() -> None:
        progress(sum(images[name] for name in found), total, _counts(list(found.values())))

    show()
    for name, stats in _packed([(shard, None) for shard in plan.left], source, out, settings, task_cpus):
        found[name] = stats
        show()
    return [found[shard.name] for shard in plan.shards]


def _packed(
    work: list[Work], source: Store, out: Store, settings: TableSettings, task_cpus: float
) -> Iterator[tuple[str, dict]]:
    """The name of each shard, and its stats once it is packed."""
    if not work:
        return
    import ray.data  # takes seconds, and a rerun has nothing to pack

    most = max((cpus for cpus, _ in machines()), default=0)
    if 0 < most < task_cpus:
        raise InputError(
            f"task_cpus: found {task_cpus:g}, but the largest machine has {most:g} CPUs, expected at most that"
        )
    packer = ShardPacker(source, out, settings)

    def pack(batch: dict) -> dict:
        found = []
        for text in batch["work"]:
            about, drop = json.loads(str(text))
            shard = PlannedShard.of(about)
            found.append(json.dumps([shard.name, packer.pack(shard, None if drop is None else list(map(tuple, drop)))]))
        return {"done": found}

    rows = [{"work": json.dumps([shard.about, drop])} for shard, drop in work]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        pack, batch_size=1, num_cpus=task_cpus
    )
    for row in dataset.iter_rows():
        yield tuple(json.loads(row["done"]))


def _check_bad(plan: TablePlan, out: Store, settings: TableSettings) -> None:
    """Raises TooManyBadPictures, the plan being kept as it is for the next run."""
    reasons = _reasons(plan)
    bad = sum(reasons.values())
    if bad <= settings.bad_fraction * plan.images:
        return
    out.write_json(PLAN, plan.record)
    told = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    raise TooManyBadPictures(
        f"{bad} of {plan.images} pictures cannot be used ({told}), more than bad_fraction {settings.bad_fraction}; they "
        f"are listed in {out.uri}/quarantine; mend them or raise bad_fraction, and run again: they alone are read again"
    )


def _is_as_told(out: Store, plan: TablePlan, settings: TableSettings) -> bool:
    """Whether the manifest there says all this already."""
    manifest = ItemTable(out).manifest
    names = [shard["name"] for shard in manifest["plan"]["shards"]]
    asked = manifest["settings"]["duplicates"]
    return names == [shard.name for shard in plan.shards] and asked == settings.duplicates


def _digests(out: Store, plan: TablePlan) -> pa.Table:
    """Of all pictures that could be used: `item`, `image`, `digest`, `split`, `shard`."""

    def read(shard: PlannedShard) -> pa.Table:
        rows = out.read_table(digests_file(shard.name))
        for name in ("split", "shard"):
            value = shard.split if name == "split" else shard.name
            rows = rows.append_column(name, pa.array([value] * rows.num_rows, pa.string()))
        return rows

    with ThreadPoolExecutor(READERS) as pool:
        return pa.concat_tables(pool.map(read, plan.shards)).combine_chunks()


def _tell_duplicates(
    out: Store,
    plan: TablePlan,
    duplicates: pa.Table,
    counts: dict[str, int],
    settings: TableSettings,
    warn: Callable[[str], None],
) -> None:
    """List them and say so. Raises InputError where they are to be refused."""
    if not counts["photos"]:
        if out.exists(DUPLICATES):
            out.delete(DUPLICATES)
        return
    out.write_table(DUPLICATES, duplicates)
    told = say_duplicates(counts)
    if settings.duplicates == "refuse":
        out.write_json(PLAN, plan.record)
        raise InputError(
            f"duplicates: {told}, and refuse was asked for; they are listed in {out.uri}/{DUPLICATES}; give each photo "
            "one item, or set duplicates to drop or warn"
        )
    done = "one item keeps each" if settings.duplicates == "drop" else "--duplicates drop leaves each to one item"
    warn(f"{told}; listed in {DUPLICATES}; {done}")


def _leave_out(
    drop: pa.Table, plan: TablePlan, source: Store, out: Store, settings: TableSettings, task_cpus: float
) -> TablePlan:
    """The plan once the images of `drop`, and no others, are left out of its shards."""
    wanted: dict[str, list[Key]] = {}
    for row in drop.to_pylist():
        wanted.setdefault(row["shard"], []).append((row["item"], row["image"]))
    earlier = Earlier(out, [plan.record])
    shards, work = [], []
    for shard in plan.shards:
        keys = sorted(wanted.get(shard.name, []))
        if list(map(list, keys)) != plan.finished[shard.name]["dropped"]:
            shard = replace(shard, name=earlier.new_name(shard.split), old=(shard.name, shard.rows))
            work.append((shard, keys))
        shards.append(shard)
    finished = plan.finished | dict(_packed(work, source, out, settings, task_cpus))
    return replace(plan, shards=tuple(shards)).packed_as([finished[shard.name] for shard in shards])


def _counts(stats: list[dict]) -> dict[str, int]:
    return {name: sum(row[name] for row in stats) for name in ("items", "images", "bad", "bytes")}


def _reasons(plan: TablePlan) -> Counter:
    """Why images are set aside, and how many."""
    reasons = Counter(plan.reasons)
    for row in plan.finished.values():
        reasons.update(row["reasons"])
    return reasons


def _finish(source: Store, out: Store, settings: TableSettings, plan: TablePlan, duplicates: dict[str, int]) -> None:
    """Write the manifest; then delete what no shard of it needs."""
    stats = [plan.finished[shard.name] for shard in plan.shards]
    kept = [field.name for field in fields(ShardInfo)]
    shards = [{name: row[name] for name in kept} for row in stats if row["items"]]
    identity = {"annotations": [shard.rows for shard in plan.shards], "shards": [row["digest"] for row in shards]}
    counts = _counts(stats)
    out.write_json(
        MANIFEST,
        {
            "kind": "item-table",
            "format": FORMAT,
            "fingerprint": hashlib.blake2b(json.dumps(identity).encode(), digest_size=8).hexdigest(),
            "source": source.uri,
            "settings": asdict(settings),
            "counts": counts | {"bad": counts["bad"] + plan.rejected},
            "quarantined": dict(_reasons(plan)),
            "duplicates": duplicates,
            "splits": {
                split: _counts([row for row in stats if row["split"] == split])
                for split in dict.fromkeys(row["split"] for row in stats)
            },
            **{name: plan.about[name] for name in ("categories", "domains", *FIELDS)},
            "shards": shards,
            "plan": plan.record,
            "versions": versions(),
            "created": now(),
        },
    )
    _tidy(out, plan)


def _tidy(out: Store, plan: TablePlan) -> None:
    """Delete the files of shards that are no more."""
    files = (items_file, quarantine_file, stats_file, digests_file)
    needed = {file(shard.name) for shard in plan.shards for file in files} | {REJECTED}
    needed |= {rows_file(shard.rows) for shard in plan.shards}
    there = [
        name
        for folder in ("items", "quarantine", "stats", "digests", "plan")
        for name in out.names(folder, recursive=True)
    ]
    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(out.delete, [name for name in there if name not in needed]))

"""From annotations and pictures to the item table, as a Ray Data job over shards.

The plan (which images in which shard) is made first; then each shard is packed by one task, its stats file written last;
then the manifest. A rerun packs only the shards without stats, those with pictures that could not be used, and those
whose annotations have changed since.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from fashion.data.prepare.duplicates import describe_duplicates, find_duplicates, with_shard
from fashion.data.prepare.earlier import Earlier
from fashion.data.prepare.finish import counts_of, finish
from fashion.data.prepare.gone import without_gone
from fashion.data.prepare.pack import ShardPacker
from fashion.data.prepare.plan import plan_table
from fashion.data.prepare.planned import PLAN, PlannedShard, TablePlan
from fashion.data.prepare.stats import PackStats
from fashion.data.prepare.taken import Key
from fashion.data.prepare.tasks import run_tasks
from fashion.data.schema import DUPLICATES, digests_file
from fashion.data.settings import TableSettings
from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.storage import READERS, Store

Work = tuple[PlannedShard, list[Key] | None]  # a shard, and the pictures of it that are left out; None: as before
Show = Callable[[int, int, dict], None]


class TooManyBadPictures(RuntimeError):
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
    if not plan.changed and _manifest_agrees(out, plan, settings):
        return ItemTable(out)
    duplicates, counts = find_duplicates(_digests(out, plan), plan.images)
    _report_duplicates(out, plan, duplicates, counts, settings, warn)
    drop = duplicates.filter(pc.invert(duplicates["keep"])) if settings.duplicates == "drop" else duplicates.slice(0, 0)
    plan = _leave_out(drop, plan, source, out, settings, task_cpus)
    finish(source, out, settings, plan, counts)
    return ItemTable(out)


def needs_ray(plan: TablePlan, out: Store, settings: TableSettings) -> bool:
    """Whether there may be a shard to pack."""
    if plan.left:
        return True
    dropped = any(stats.dropped for stats in plan.finished.values())
    return (dropped or settings.duplicates == "drop") and (plan.changed or not _manifest_agrees(out, plan, settings))


def _pack_left(
    plan: TablePlan, source: Store, out: Store, settings: TableSettings, task_cpus: float, progress: Show
) -> list[PackStats]:
    """Stats of all shards, in their order, those that are left being packed."""
    packed = {shard.name: plan.finished[shard.name] for shard in plan.shards if shard.name in plan.finished}
    images = {shard.name: shard.images for shard in plan.shards}
    total = sum(images.values())

    def show() -> None:
        progress(sum(images[name] for name in packed), total, counts_of(packed.values()))

    show()
    for name, stats in _packed([(shard, None) for shard in plan.left], source, out, settings, task_cpus):
        packed[name] = stats
        show()
    return [packed[shard.name] for shard in plan.shards]


def _packed(
    work: list[Work], source: Store, out: Store, settings: TableSettings, task_cpus: float
) -> Iterator[tuple[str, PackStats]]:
    """The name of each shard, and its stats once it is packed."""
    packer = ShardPacker(source, out, settings)
    return run_tasks(lambda piece: (piece[0].name, packer.pack(*piece)), work, task_cpus=task_cpus)


def _check_bad(plan: TablePlan, out: Store, settings: TableSettings) -> None:
    """Raises TooManyBadPictures, the plan being kept as it is for the next run."""
    reasons = plan.all_reasons
    bad = sum(reasons.values())
    if bad <= settings.bad_fraction * plan.images:
        return
    out.write_value(PLAN, plan.record)
    first = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    raise TooManyBadPictures(
        f"{bad} of {plan.images} pictures cannot be used ({first}), more than bad_fraction {settings.bad_fraction}; they "
        f"are listed in {out.uri}/quarantine; mend them or raise bad_fraction, and run again: they alone are read again"
    )


def _manifest_agrees(out: Store, plan: TablePlan, settings: TableSettings) -> bool:
    """Whether the manifest there says all this already."""
    table = ItemTable(out)
    names = [shard["name"] for shard in (table.plan or {"shards": []})["shards"]]
    return names == [shard.name for shard in plan.shards] and table.manifest.used.duplicates == settings.duplicates


def _digests(out: Store, plan: TablePlan) -> Iterator[pa.Table]:
    """Of all pictures that could be used, shard by shard: `item`, `image`, `digest`, `split`, `shard`."""

    def read(shard: PlannedShard) -> pa.Table:
        return with_shard(without_gone(out, shard, out.read_table(digests_file(shard.name))), shard)

    with ThreadPoolExecutor(READERS) as pool:
        for i in range(0, len(plan.shards), READERS):  # not all at once: the tables that wait would be held
            yield from pool.map(read, plan.shards[i : i + READERS])


def _report_duplicates(
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
    summary = describe_duplicates(counts)
    if settings.duplicates == "refuse":
        out.write_value(PLAN, plan.record)
        raise InputError(
            f"duplicates: {summary}, and refuse was asked for; they are listed in {out.uri}/{DUPLICATES}; give each photo "
            "one item, or set duplicates to drop or warn"
        )
    done = "one item keeps each" if settings.duplicates == "drop" else "--duplicates drop leaves each to one item"
    warn(f"{summary}; listed in {DUPLICATES}; {done}")


def _leave_out(
    drop: pa.Table, plan: TablePlan, source: Store, out: Store, settings: TableSettings, task_cpus: float
) -> TablePlan:
    """The plan once the images of `drop`, and no others, are left out of its shards."""
    wanted: dict[str, list[Key]] = {}
    for row in drop.to_pylist():
        wanted.setdefault(row["shard"], []).append((row["item"], row["image"]))
    earlier = Earlier(out, [plan.record])
    shards: list[PlannedShard] = []
    work: list[Work] = []
    for shard in plan.shards:
        keys = sorted(wanted.get(shard.name, []))
        if tuple(keys) != plan.finished[shard.name].dropped:
            shard = replace(shard, name=earlier.new_name(shard.split), old=(shard.name, shard.rows))
            work.append((shard, keys))
        shards.append(shard)
    finished = plan.finished | dict(_packed(work, source, out, settings, task_cpus))
    return replace(plan, shards=tuple(shards)).packed_as([finished[shard.name] for shard in shards])

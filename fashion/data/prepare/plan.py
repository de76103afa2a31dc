"""What the item table is to hold, from the annotations and what an earlier run left: needs no Ray, reads no picture.

    plan/plan.json        the plan that is being carried out; gone when the manifest is written
    plan/3f2a....parquet  the annotations of one shard, named by their digest

A shard whose annotations are as before keeps its files. Another gets new files under a new name, so that the earlier
table can be read until the new manifest is there. A shard with pictures in quarantine is tried again. Where that would
pack too much of the table again, it grows by a layer of shards instead: `layers`.
"""

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from fashion.data.formats.benchmarks import annotation_files, digest_of_files, read_annotations
from fashion.data.formats.rejects import Rejects
from fashion.data.formats.text_table import Warn
from fashion.data.prepare.addresses import refresh_addresses
from fashion.data.prepare.counts import TableCounts
from fashion.data.prepare.earlier import Changes, Earlier
from fashion.data.prepare.growth import Growth
from fashion.data.prepare.layers import decide_layers, in_order, new_layer, packed_in_place
from fashion.data.prepare.planned import PLAN, PlannedShard, PlanRecord, TablePlan
from fashion.data.prepare.shards import Shard, cut_shards
from fashion.data.prepare.spool import SLOT_ROWS
from fashion.data.prepare.spread import Slot, spread
from fashion.data.prepare.versions import Versions, digest_of_rows
from fashion.data.schema import ANNOTATIONS, FORMATS, MANIFEST, REJECTED, rows_file
from fashion.data.settings import TableSettings
from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.identity import check_same, difference
from fashion.storage import Store

Keep = Callable[[str, pa.Table], None]  # receives the digest of a shard's annotations, and them


def plan_table(
    source: Store,
    out: Store | None,
    settings: TableSettings,
    *,
    warn: Warn,
    progress: Callable[[int], None] = lambda rows: None,
    keep: Keep | None = None,
) -> TablePlan:
    """The plan of the table at `out`: that of the last run where the annotation files and the pictures' folders are the
    same, else a new one.

    `progress(rows read so far)`. Without `out` nothing is written, and `keep` receives the annotations. Raises InputError
    where the annotations cannot be used, or `out` holds another table.
    """
    identity = settings.identity | {"source": source.uri}
    records = _records(out, identity, warn) if out else []
    sources = digest_of_files(source, annotation_files(source, settings), settings)
    earlier = Earlier(out, [record for record, _ in records])
    versions = Versions(source, out, settings) if out else None
    if out and versions and records and _same(records[0][0], sources, versions):
        record, unfinished = records[0]
        plan = _again(TablePlan.of(record, changed=unfinished, finished={}), earlier)
        there = set(out.names("plan"))
        if all(rows_file(shard.rows) in there for shard in plan.left):  # else somebody has deleted what was damaged
            return plan
    rejects, counts, changes = Rejects(), TableCounts(source, settings), Changes(earlier)
    keep = keep or _writer(earlier.out)
    slots = _counted(_slots(source, settings, earlier, rejects, warn, progress), counts)
    shards = _planned(slots, settings, earlier, versions, changes, keep, warn)
    plan = TablePlan(
        shards=tuple(in_order(shards)),
        settings=identity,
        sources=sources,
        pictures=versions.state() if versions else None,
        metadata=counts.metadata(),
        reasons=rejects.reasons,
        changed=True,
        finished={},
    )
    packed = sum(shard.name not in earlier.written for shard in shards)
    if line := changes.message(len(shards), packed, pictures_alone=earlier.sources == sources):
        warn(line)
    if out and rejects:
        out.write_table(REJECTED, rejects.table)
    elif out and out.exists(REJECTED):
        out.delete(REJECTED)
    if plan.rejected > settings.bad_fraction * plan.images:
        raise InputError(
            f"{plan.rejected} of {plan.images} rows of the annotations cannot be used, more than bad_fraction "
            f"{settings.bad_fraction}: {rejects.message()}; mend them or raise bad_fraction"
        )
    for line in counts.check():  # after what may be the reason why one side is missing
        warn(line)
    if out:
        out.write_value(PLAN, plan.record)
    return _again(plan, earlier)


def _same(record: PlanRecord, sources: str, versions: Versions) -> bool:
    """Whether annotations and pictures are as they were when this plan was made."""
    return record.sources == sources and versions.are(record.pictures)


def _writer(out: Store) -> Keep:
    def write(digest: str, rows: pa.Table) -> None:
        out.write_table(rows_file(digest), rows)

    return write


def _records(out: Store, identity: dict, warn: Warn) -> list[tuple[PlanRecord, bool]]:
    """The plan that was not carried out and that of the finished table, as far as they are there, and whether each is
    unfinished. Raises InputError where the table is of other settings."""
    records = []
    if plan := _unfinished(out, warn):
        records.append((plan, True))
    if out.exists(MANIFEST):
        table = ItemTable(out)
        manifest = table.manifest
        theirs = _of(manifest.settings | {"source": manifest.source}, identity)
        check_same(out, "an item table", theirs, _of(identity, theirs), "choose another --out, or the same settings")
        if record := table.plan:  # else of an earlier version, and packed anew
            records.append((out.value_of(MANIFEST, record, PlanRecord), False))
    elif records and (other := difference(_of(theirs := records[0][0].settings, identity), _of(identity, theirs))):
        warn(f"{out.uri}: what an unfinished prepare with another {other[0]} left is made anew")
        return []
    return records


def _of(settings: dict, names: Collection[str]) -> dict:
    """A setting that is newer than the table does not differ."""
    return {name: value for name, value in settings.items() if name in names}


def _unfinished(out: Store, warn: Warn) -> PlanRecord | None:
    """The plan that was not carried out; None where it is of another version."""
    try:
        plan = out.read_value(PLAN, PlanRecord)
        return plan if plan.format in FORMATS and plan.sources is not None else None
    except FileNotFoundError:
        return None
    except InputError as fault:
        warn(f"{str(fault).partition(';')[0]}; it is made anew")
        return None


def _again(plan: TablePlan, earlier: Earlier) -> TablePlan:
    """The plan with the stats of its finished shards; those with pictures in quarantine get a new name and are left."""
    finished = earlier.stats(plan.shards)
    shards = [
        replace(s, name=earlier.new_name(s.split), old=(s.name, s.rows), sources=())
        if s.name in finished and finished[s.name].bad
        else s
        for s in plan.shards
    ]
    return replace(plan, shards=tuple(shards), finished=finished)


def _slots(
    source: Store,
    settings: TableSettings,
    earlier: Earlier,
    rejects: Rejects,
    warn: Warn,
    progress: Callable[[int], None],
) -> Iterator[Slot]:
    """The annotations, in the order of their items' hashes."""
    names = ("fine", "manifest", "columns", "domains")
    options = {name: getattr(settings, name) for name in names if getattr(settings, name)}
    batches = read_annotations(settings.benchmark, source, warn=warn, reject=rejects.line, **options)
    return spread(
        _usable(batches, settings, rejects, progress),
        holdout=settings.holdout,
        seed=settings.seed,
        least_slots=-(-earlier.images // SLOT_ROWS) or 1,
        warn=warn,
        reject=rejects.row,
    )


def _counted(slots: Iterable[Slot], counts: TableCounts) -> Iterator[Slot]:
    for slot in slots:
        for split, rows in slot.parts:
            counts.add(split, rows)
        yield slot


def _planned(
    slots: Iterator[Slot],
    settings: TableSettings,
    earlier: Earlier,
    versions: Versions | None,
    changes: Changes,
    keep: Keep,
    warn: Warn,
) -> list[PlannedShard]:
    """All shards of the table, `keep` having received the annotations of those that are not there yet."""
    if versions is None or (earlier.flat and earlier.images <= settings.rewrite_images):
        return _in_ranges(slots, settings, earlier, versions, changes, keep)
    with tempfile.TemporaryDirectory(prefix="fashion-growth-") as folder:
        growth = Growth(earlier, Path(folder), seed=settings.seed)
        growth.add(slots, versions)
        if earlier.flat and packed_in_place(growth) <= settings.rewrite_images:
            return _in_ranges(growth.today(), settings, earlier, versions, changes, keep)
        changes.of(growth.changes)
        layers = decide_layers(growth, settings.shard_images, settings.seed)
        shards = list(layers.stay.values())
        refresh_addresses(growth, layers.stay, Path(folder))
        for planned, rows in new_layer(growth, layers, settings.shard_images, earlier.new_name):
            keep(planned.rows, rows)
            shards.append(planned)
        warn(layers.message(new=len(shards) - len(layers.stay)))
        return shards


def _in_ranges(
    slots: Iterable[Slot],
    settings: TableSettings,
    earlier: Earlier,
    versions: Versions | None,
    changes: Changes,
    keep: Keep,
) -> list[PlannedShard]:
    """The shards, each the items of a range of hashes."""
    shards = []
    for shard in cut_shards(slots, settings.shard_images, earlier.starts):
        planned, rows = _placed(shard, earlier, versions)
        keep(planned.rows, rows)
        changes.add(planned, rows)
        shards.append(planned)
    return shards


def _placed(shard: Shard, earlier: Earlier, versions: Versions | None) -> tuple[PlannedShard, pa.Table]:
    """The shard under the name of its files: that of the finished one in its place where it is the same, else a new one;
    and its rows, with the versions of the pictures where they are versions."""
    old = earlier.covering(shard.split, shard.start)
    rows, annotations = shard.rows.select(ANNOTATIONS.names), digest_of_rows(shard.rows)
    digest = annotations
    if versions:
        rows, digest = versions.with_versions(rows, annotations, old)
    kept = old if old and old.rows in (digest, annotations) else None  # the latter where no version was known
    planned = PlannedShard(
        split=shard.split,
        start=shard.start,
        images=rows.num_rows,
        annotations=annotations,
        rows=digest,
        name=kept.name if kept else earlier.new_name(shard.split),
        old=(old.name, old.rows) if old and not kept else None,
    )
    return planned, rows


def _usable(
    batches: Iterable[pa.RecordBatch], settings: TableSettings, rejects: Rejects, progress: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    """The batches without rows that the benchmark cannot use."""
    read = 0
    for batch in batches:
        read += batch.num_rows
        progress(read)
        if settings.benchmark == "category-attribute" and batch["category"].null_count:
            for row in batch.filter(batch["category"].is_null()).to_pylist():
                rejects.row(row, "no category is annotated, which this benchmark matches by")
            batch = batch.filter(batch["category"].is_valid())
        yield batch

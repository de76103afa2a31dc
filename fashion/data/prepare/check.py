"""What prepare would make of a source, without writing anything: every annotation and every picture is read."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from fashion.data.prepare.duplicates import describe_duplicates, find_duplicates, with_shard
from fashion.data.prepare.finish import counts_of
from fashion.data.prepare.pack import ShardPacker, stats_of
from fashion.data.prepare.plan import plan_table
from fashion.data.prepare.planned import PlannedShard, TablePlan
from fashion.data.prepare.stats import PackStats
from fashion.data.prepare.tasks import run_streamed
from fashion.data.schema import rows_file
from fashion.data.settings import TableSettings
from fashion.domain import SPLITS
from fashion.errors import InputError
from fashion.storage import Store

SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The plan of a table, and its annotations."""

    plan: TablePlan
    held: Store  # has the annotations of each shard, as a table's folder has them


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was found in the pictures of a draft."""

    stats: list[PackStats]
    bad: list[dict]  # rows of QUARANTINE
    duplicates: list[dict]
    counts: dict[str, int]  # of duplicates

    @property
    def splits(self) -> dict[str, dict[str, int]]:
        """Split -> counts of its shards."""
        names = sorted({row.split for row in self.stats}, key=SPLITS.index)
        return {name: counts_of(row for row in self.stats if row.split == name) for name in names}

    def lines(self, plan: TablePlan) -> list[str]:
        """What to tell the user, refusals aside."""
        reasons = Counter(plan.reasons)
        for row in self.stats:
            reasons.update(row.reasons)
        lines = [f"{count:,} x {reason}" for reason, count in reasons.most_common()]
        lines += [f"  {row['place'] or row['image']}: {row['reason']}" for row in self.bad[:SHOWN]]
        lines += [f"  and {len(self.bad) - SHOWN:,} more"] if len(self.bad) > SHOWN else []
        if self.counts["photos"]:
            lines.append(describe_duplicates(self.counts))
            named = [f"  {row['image']} of item {row['item']} in {row['split']}" for row in self.duplicates]
            lines += named[:SHOWN] + ([f"  and {len(named) - SHOWN:,} more"] if len(named) > SHOWN else [])
        return lines

    def check(self, plan: TablePlan, settings: TableSettings) -> None:
        """Raises InputError where prepare would refuse or fail."""
        bad = plan.rejected + len(self.bad)
        if bad > settings.bad_fraction * plan.images:
            raise InputError(
                f"{bad} of {plan.images} pictures cannot be used, more than bad_fraction {settings.bad_fraction}: prepare "
                "would fail; mend them or raise bad_fraction"
            )
        if self.counts["photos"] and settings.duplicates == "refuse":
            raise InputError(
                f"duplicates: {describe_duplicates(self.counts)}: prepare would refuse them, as is asked for"
            )


def draft_table(
    source: Store, held: Store, settings: TableSettings, *, warn: Callable[[str], None], progress: Callable[[int], None]
) -> Draft:
    """`held`: an empty folder of this machine. Needs no Ray. `progress(rows read so far)`. Raises InputError."""

    def keep(digest: str, rows: pa.Table) -> None:
        held.write_table(rows_file(digest), rows)

    return Draft(plan=plan_table(source, None, settings, warn=warn, progress=progress, keep=keep), held=held)


def check_pictures(
    draft: Draft,
    source: Store,
    settings: TableSettings,
    *,
    task_cpus: float,
    progress: Callable[[int, int, int], None],
) -> Checked:
    """Read and pack every picture in memory. Needs a running Ray. `progress(images done, images in all, bad)`."""
    packer = ShardPacker(source, None, settings)

    def check(work: tuple[PlannedShard, pa.Table]) -> tuple[PackStats, list[dict], pa.Table]:
        shard, rows = work
        packed = packer.make(rows)
        jpegs = sum(len(image["jpeg"]) for images in packed.items["images"].to_pylist() for image in images)
        shard_stats = stats_of(shard, packed, size=jpegs, digest="")
        return shard_stats, packed.quarantine.to_pylist(), with_shard(packed.digests, shard)

    stats: list[PackStats] = []
    bad: list[dict] = []
    total = sum(shard.images for shard in draft.plan.shards)

    def digests() -> Iterator[pa.Table]:
        done = 0
        progress(done, total, 0)
        work = ((shard, draft.held.read_table(rows_file(shard.rows))) for shard in draft.plan.shards)
        for shard_stats, rows, shard_digests in run_streamed(check, work, task_cpus=task_cpus):
            stats.append(shard_stats)
            bad.extend(rows)
            done += shard_stats.images + shard_stats.bad
            progress(done, total, len(bad))
            yield shard_digests

    duplicates, counts = find_duplicates(digests(), total)
    return Checked(stats=stats, bad=bad, duplicates=duplicates.to_pylist(), counts=counts)

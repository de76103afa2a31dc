"""Pictures and annotations -> an item table."""

import logging
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.gauges import Gauges
from cluster.shared import check_shared
from cluster.start import ray_cluster
from cluster.storage import check_storage
from fashion.claim import sole_writer
from fashion.data.settings import TableSettings
from fashion.data.table import ItemTable
from fashion.pipelines.progress import Progress
from fashion.setting_ranges import setting
from fashion.setting_types import part_of, require_folders
from fashion.storage import Store

if TYPE_CHECKING:
    from fashion.data.prepare.planned import TablePlan

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PrepareSettings(TableSettings):
    """Make the item table from a benchmark's files. The same command again finishes what was interrupted."""

    source: str
    """Folder of the benchmark's files: local or s3://."""
    out: str | None = None
    """Folder of the item table: local or s3://."""
    task_cpus: float = setting(1.0, above=0)
    """Logical CPUs of a task; each packs one shard at a time."""
    check: bool = False
    """Read all annotations and pictures, say what prepare would do and set aside, and write nothing; exit status 2 where
    it would refuse."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_folders(self, "source", *(() if self.check else ("out",)))

    @property
    def table(self) -> TableSettings:
        return part_of(self, TableSettings)


def prepare_table(
    source: Store, out: Store, settings: TableSettings, *, task_cpus: float = 1.0, plan: "TablePlan | None" = None
) -> ItemTable:
    """Prepare with progress shown; Ray runs, unless the plan needs none. Says what the table holds."""
    from fashion.data.prepare.run import prepare as pack

    gauges = Gauges("prepare", out.uri)
    with Progress("prepare", unit="images") as bar:

        def show(done: int, total: int, counts: dict) -> None:
            bar.to(done, total, bad=str(counts["bad"]))
            gauges.set({"images": done, "images_in_all": total, "quarantined": counts["bad"]})

        table = pack(
            source,
            out,
            settings,
            task_cpus=task_cpus,
            warn=note,
            progress=show,
            plan=plan,
        )
    say_splits(table.manifest.splits)
    log.info(f"item table {table.fingerprint} in {out.uri}")
    return table


def note(text: str) -> None:
    log.warning(f"note: {text}")


def say_splits(splits: dict[str, dict]) -> None:
    """A line a split."""
    for split, counts in splits.items():
        bad = f", {counts['bad']:,} set aside" if counts["bad"] else ""
        size = counts["bytes"] / 1e6
        log.info(f"{split:>6}: {counts['items']:,} items, {counts['images']:,} images, {size:,.1f} MB{bad}")


def check_table(source: Store, settings: TableSettings, *, task_cpus: float) -> None:
    """Read all, write nothing, and say what would become of it. Raises InputError where prepare would refuse."""
    log.info(f"check {source.uri}: everything is read, nothing is written")
    from fashion.data.prepare.check import check_pictures, draft_table

    with tempfile.TemporaryDirectory(prefix="fashion-check-") as folder:
        with Progress("read annotations", unit="rows") as bar:
            draft = draft_table(source, Store(folder), settings, warn=note, progress=bar.to)
        with ray_cluster(), Progress("check", unit="images") as bar:
            checked = check_pictures(
                draft,
                source,
                settings,
                task_cpus=task_cpus,
                progress=lambda done, total, bad: bar.to(done, total, bad=str(bad)),
            )
    say_splits(checked.splits)
    for line in checked.lines(draft.plan):
        log.info(line)
    checked.check(draft.plan, settings)
    log.info("nothing was written; prepare would make this table")


def prepare(settings: PrepareSettings) -> ItemTable | None:
    """Make the item table, or with `check` say what would become of it.

    Ray is started where there is something to pack. Raises InputError, and TooManyBadPictures, after which nothing but the
    manifest is missing.
    """
    check_storage("source", settings.source)
    source = Store(settings.source)
    if settings.check:
        check_table(source, settings.table, task_cpus=settings.task_cpus)
        return None
    assert settings.out  # only a check does without
    check_storage("out", settings.out, writes=True)
    out = Store(settings.out)
    table = "item table" if settings.benchmark == "manifest" else f"item table of the {settings.benchmark} benchmark"
    log.info(f"prepare the {table}: {source.uri} -> {out.uri}")
    from fashion.data.prepare.plan import plan_table
    from fashion.data.prepare.run import needs_ray

    with ExitStack() as stack:
        stack.enter_context(sole_writer(out))
        with Progress("read annotations", unit="rows") as bar:  # what is wrong with them is told before Ray starts
            plan = plan_table(source, out, settings.table, warn=note, progress=bar.to)
        if needs_ray(plan, out, settings.table):
            stack.enter_context(ray_cluster())
        check_shared({"out": settings.out})
        return prepare_table(source, out, settings.table, task_cpus=settings.task_cpus, plan=plan)

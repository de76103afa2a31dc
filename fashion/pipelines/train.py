"""An item table -> a trained network, with its figures shown as they come in."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cluster.shared import check_shared
from cluster.start import ray_cluster
from cluster.storage import check_run, check_storage
from fashion.claim import sole_writer
from fashion.data.table import ItemTable
from fashion.domain import LABELS
from fashion.errors import InputError
from fashion.networks.settings import NetworkSettings
from fashion.pipelines.beside import beside
from fashion.pipelines.log import kept_log
from fashion.pipelines.progress import Progress
from fashion.pipelines.train_lines import TrainLines, measure
from fashion.setting_types import part_of
from fashion.storage import Store
from fashion.training.checkpoint import Checkpoint, best_checkpoint
from fashion.training.history import score
from fashion.training.settings import TrainSettings
from fashion.training.start import Start, find_start
from fashion.training.tracking import Tracker, TrackingSettings, all_of

if TYPE_CHECKING:
    from fashion.training.job import Job

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainJobSettings(TrainSettings):
    """Train an embedding network. The same command again resumes; with neither data nor run, the demo is run."""

    data: str | None = None
    """Folder of the item table (jobs/prepare.py): local or s3://. Default: the demo catalogue, drawn first."""
    labels: list[str] = field(default_factory=list)
    """Further item tables whose pictures join each step for their labels alone (batch.labels of them), such as the
    category benchmark's; network.design fashionnet."""
    run: str | None = None
    """Folder of the run's checkpoints and results: local or s3://."""
    tracking: TrackingSettings = field(default_factory=TrackingSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.data) != bool(self.run):
            missing = "run" if self.data else "data"
            raise InputError(f"{missing}: missing; give both --data and --run, or neither for the demo")
        if self.labels and not self.data:
            raise InputError("labels: found tables without --data; give the item table of the retrieval too")

    @property
    def train(self) -> TrainSettings:
        return part_of(self, TrainSettings)


def train_run(draft: "Job", start: Start, tracking: TrackingSettings) -> None:
    """Train with progress shown; Ray runs. `start`: what the network begins with, found before it did."""
    from fashion.training.driver import fit
    from fashion.training.job import equip
    from fashion.training.mend import mend_run
    from fashion.training.resume import goes_on, held_epochs
    from fashion.training.resume_point import resume_point

    plan = equip(draft, start)
    s, r = plan.settings, plan.resources
    assert r and plan.begin and s.epochs  # decided by now
    log.debug(f"{r}, {plan.begin}")
    device = "GPU" if r.gpu else "CPU"
    log.info(f"on {r.workers} {device} worker{'s' if r.workers > 1 else ''} and {r.feed_actors} feed actors")
    if line := mend_run(plan.run, s.validation.metric):
        log.warning(line)
    steps = plan.plan.steps
    done, within = divmod(resume_point(plan).step, steps)
    if line := goes_on(s, done=done, held=held_epochs(plan.run), steps=steps, within=within):
        log.info(line)
    elif plan.begin.said:
        log.info(f"starts with the {plan.begin.said}")
    if plan.vocabulary:
        for line in labels_held(plan.tables):
            log.info(line)
    with (
        Progress("train", unit="steps", total=s.epochs * steps) as bar,
        Tracker(tracking, plan.run, s.identity(), steps=steps, warn=log.warning) as tracker,
    ):
        lines = TrainLines(bar, steps, s, by_item=plan.table.positives == "item")
        fit(plan, all_of(lines, measure(plan.run), tracker))


def announce(settings: TrainSettings, table: ItemTable, run: Store, labelled: Sequence[ItemTable] = ()) -> "Job":
    """Say what is about to be trained, before Ray starts; returns the draft of it. Raises InputError for what settings and
    storage tell."""
    from fashion.training.job import draft_job

    draft = draft_job(settings, table, run, labelled)
    plan, s = draft.plan, draft.settings
    shown = "boxes" if s.batch.crop == "box" else "whole pictures"
    start = s.network.pretrained or "random"
    log.info(
        f"train {s.network.name} ({s.network.branches}, {start} weights, {shown} at {s.network.size} pixels) with the "
        f"{s.loss.name} loss: {plan.items:,} items, {plan.steps} steps of {s.batch.items} items x {s.batch.views} views an "
        f"epoch, {s.epochs} epochs"
    )
    return draft


def found_beside(network: NetworkSettings, run: Store) -> Future[Start]:
    """What the network starts from: the usual weights are read while Ray starts; of others it is said before what is wrong
    with them."""
    start = beside(find_start, network, run)
    if not network.certain:
        start.result()
    return start


def labels_held(tables: Sequence[ItemTable]) -> list[str]:
    """A line a table: how many of its training images carry each label."""
    lines = []
    for table in tables:
        counts = table.manifest.labels["train"]
        counted = ", ".join(f"{name} {getattr(counts, name):,}" for name in LABELS)
        lines.append(f"labels of {table.store.uri}: {counted} of {counts.images:,} training images")
    return lines


def train(settings: TrainJobSettings) -> Checkpoint:
    """Train, or resume, to the last epoch; Ray is joined or started. Returns the run's best checkpoint. Raises InputError,
    and RuntimeError where training failed for good."""
    if not settings.data or not settings.run:
        raise InputError("data: missing; expected the folder of an item table (fashion.pipelines.demo makes one)")
    check_storage("data", settings.data)
    check_run("run", settings.run)
    for uri in settings.labels:
        check_storage("labels", uri)
    table, run = ItemTable(Store(settings.data)), Store(settings.run)
    labelled = [ItemTable(Store(uri)) for uri in settings.labels]
    draft = announce(settings.train, table, run, labelled)
    start = found_beside(settings.network, run)
    with sole_writer(run), kept_log(run, "train"), ray_cluster():
        check_shared({"run": settings.run})
        train_run(draft, start.result(), settings.tracking)
    best = best_checkpoint(run, settings.validation.metric)
    value = score(best.history[-1], settings.validation.metric)
    log.info(f"best epoch {best.epoch + 1}: validation {settings.validation.metric} {value:.3f}, in {best.store.uri}")
    return best

"""Train an embedding network on an item table. With no arguments: draw the demo catalogue, train on it, evaluate.

python jobs/train.py
python jobs/train.py --data s3://bucket/table --run s3://bucket/runs/first --network.name resnet50 --epochs 50
python jobs/train.py --config jobs/configs/fashionnet.yaml --data URI --labels '[URI, ...]' --run URI
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run from a checkout, installed or not

from jobs.signals import end_on_signals

if __name__ == "__main__":
    end_on_signals()  # before anything that takes time

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from cluster.gauges import Gauges
from cluster.shared import check_shared
from cluster.start import ray_cluster
from cluster.storage import check_run, check_storage
from fashion.claim import sole_writer
from fashion.data.settings import TableSettings
from fashion.data.table import ItemTable
from fashion.domain import LABELS
from fashion.errors import InputError
from fashion.losses.settings import TASKS
from fashion.networks.settings import NetworkSettings
from fashion.storage import Store
from fashion.training.checkpoint import best_checkpoint, score
from fashion.training.recipe import EMBEDDING
from fashion.training.settings import TrainSettings
from fashion.training.start import Start, find_start
from fashion.training.tracking import Tracker, TrackingSettings, all_of
from jobs.beside import beside
from jobs.cli import main
from jobs.evaluate import EvaluateSettings, evaluate_run
from jobs.prepare import prepare_table
from jobs.progress import Progress

if TYPE_CHECKING:
    from fashion.training.job import Job

DEMO = "runs/demo"
DEMO_ITEMS = 400
DEMO_EPOCHS = 8  # a fraction of a minute; more go on rising


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

    def __post_init__(self):
        super().__post_init__()
        if bool(self.data) != bool(self.run):
            missing = "run" if self.data else "data"
            raise InputError(f"{missing}: missing; give both --data and --run, or neither for the demo")
        if self.labels and not self.data:
            raise InputError("labels: found tables without --data; give the item table of the retrieval too")

    @property
    def train(self) -> TrainSettings:
        return TrainSettings(**{f.name: getattr(self, f.name) for f in fields(TrainSettings)})


def train_run(draft: "Job", start: Start, tracking: TrackingSettings) -> None:
    """Train with progress shown; Ray runs. `start`: what the network begins with, found before it did."""
    from fashion.training.driver import fit, next_epoch
    from fashion.training.job import equip
    from fashion.training.mend import mend_run
    from fashion.training.resume import goes_on, held_epochs

    plan = equip(draft, start)
    s, r = plan.settings, plan.resources
    device = "GPU" if r.gpu else "CPU"
    print(f"on {r.workers} {device} worker{'s' if r.workers > 1 else ''} and {r.feed_actors} feed actors", flush=True)
    if line := mend_run(plan.run, s.validation.metric):
        print(line, flush=True)
    done = next_epoch(plan)
    if line := goes_on(s, done=done, held=held_epochs(plan.run), steps=plan.plan.steps):
        print(line, flush=True)
    elif plan.begin.said:
        print(f"starts with the {plan.begin.said}")
    if plan.vocabulary:
        print("\n".join(labels_held(plan.tables)))
    steps = plan.plan.steps
    with (
        Progress("train", unit="steps", total=s.epochs * steps) as bar,
        Tracker(tracking, plan.run, s.identity(), steps=steps, warn=bar.say) as tracker,
    ):
        fit(plan, all_of(_Show(bar, steps, s), measure(Gauges("train", plan.run.uri)), tracker))


def announce(settings: TrainSettings, table: ItemTable, run: Store, labelled: Sequence[ItemTable] = ()) -> "Job":
    """Say what is about to be trained, before Ray starts; returns the draft of it. Raises InputError for what settings and
    storage tell."""
    from fashion.training.job import draft_job

    draft = draft_job(settings, table, run, labelled)
    plan, s = draft.plan, draft.settings
    shown = "boxes" if s.batch.crop == "box" else "whole pictures"
    start = s.network.pretrained or "random"
    print(
        f"train {s.network.name} ({s.network.branches}, {start} weights, {shown} at {s.network.size} pixels) with the "
        f"{s.loss.name} loss: {plan.items:,} items, {plan.steps} steps of {s.batch.items} items x {s.batch.views} views an "
        f"epoch, {s.epochs} epochs",
        flush=True,
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
        counts = table.manifest["labels"]["train"]
        held = ", ".join(f"{name} {counts[name]:,}" for name in LABELS)
        lines.append(f"labels of {table.store.uri}: {held} of {counts['images']:,} training images")
    return lines


def measure(gauges: Gauges) -> Callable[[dict], None]:
    """Figures of the run as they come in -> Ray's metrics."""

    def show(row: dict) -> None:
        if "step" in row:
            busy = row["wait_s"] + row["step_s"]
            gauges.set(
                {"loss": row["loss"], "images_per_s": row["images"] / busy, "wait_fraction": row["wait_s"] / busy}
            )
        else:
            recall = {f"recall_at_{k}": value for k, value in row.get("recall", {}).items()}
            gauges.set({"epoch": row["epoch"] + 1, **recall})

    return show


class _Show:
    """Figures of the run as they come in -> the bar and a line an epoch."""

    def __init__(self, bar: Progress, steps: int, settings: TrainSettings):
        self.bar, self.steps, self.settings = bar, steps, settings
        self.loss = None
        self.recall = None
        self.shown = -1  # the last epoch that has its line
        self.last = (-1, -1)  # the last step

    def __call__(self, row: dict) -> None:
        if "step" not in row:
            if row["epoch"] > self.shown:
                self.shown = row["epoch"]
                self._epoch(row)
            return
        at = (row["epoch"], row["step"])
        if at <= self.last:
            self.bar.say(f"a fault ended the workers: goes on after epoch {row['epoch']}")
        self.last = at
        self.loss = row["loss"] if row["loss"] is not None else self.loss
        busy = row["wait_s"] + row["step_s"]
        figures = {"loss": f"{self.loss:.3f}"} if self.loss is not None else {}
        if self.recall is not None:
            figures[self.settings.validation.metric] = f"{self.recall:.3f}"
        figures |= {
            "images/s": f"{row['images'] / busy:.0f}",
            "wait": f"{1000 * row['wait_s']:.0f}ms",
            "step": f"{1000 * row['step_s']:.0f}ms",
        }
        self.bar.to(row["epoch"] * self.steps + row["step"] + 1, **figures)

    def _epoch(self, row: dict) -> None:
        metric = self.settings.validation.metric
        line = f"epoch {row['epoch'] + 1:3d}/{self.settings.epochs}  loss {row['loss']:.3f}"
        if "recall" in row:
            self.recall = score(row, metric)
            line += f"  validation {metric} {self.recall:.3f}"
            line += f"  category {row['category_top1']:.3f}" if "category_top1" in row else ""
            line += f"  landmark error {row['landmark_error']:.3f}" if "landmark_error" in row else ""
        line += (
            f"  {row['images_per_s']:,.0f} images/s  data wait {100 * row['data_wait_s'] / row['seconds']:.0f}%"
            f"  step {1000 * row['step_s']:.0f} ms"
        )
        self.bar.say(line)
        if "loss_embedding" in row:
            self.bar.say("  losses: " + "  ".join(f"{name} {row[f'loss_{name}']:.4f}" for name in (EMBEDDING, *TASKS)))
        if row["advice"]:
            self.bar.say(f"warning: {row['advice']}")


def draw_demo(root: Path, seed: int) -> None:
    """Draw the demo catalogue, with progress shown, where it is not there yet."""
    from fashion.demo.catalogue import write_demo

    with Progress("draw", unit="items") as bar:
        write_demo(root / "catalogue", items=DEMO_ITEMS, seed=seed, progress=bar.to)


def demo(settings: TrainJobSettings) -> None:
    """Draw, prepare, train, evaluate; all of it under runs/demo."""
    check_storage("run", DEMO, writes=True)
    root = Path.cwd() / DEMO
    print(f"the demo: {DEMO_ITEMS} garments are drawn, prepared, trained on and searched, in {root}", flush=True)
    draw_demo(root, settings.seed)
    run = Store(root / "run")
    start = found_beside(settings.network, run)
    with sole_writer(Store(root)), ray_cluster():
        table = prepare_table(Store(root / "catalogue"), Store(root / "table"), TableSettings())
        train = replace(settings.train, epochs=settings.epochs or DEMO_EPOCHS)
        train_run(announce(train, table, run), start.result(), settings.tracking)
        evaluate_run(EvaluateSettings(data=table.store.uri, run=run.uri), table, run)


def job(settings: TrainJobSettings) -> int:
    if not settings.data:
        demo(settings)
        return 0
    check_storage("data", settings.data)
    check_run("run", settings.run)
    for uri in settings.labels:
        check_storage("labels", uri)
    table, run = ItemTable(Store(settings.data)), Store(settings.run)
    labelled = [ItemTable(Store(uri)) for uri in settings.labels]
    draft = announce(settings.train, table, run, labelled)
    start = found_beside(settings.network, run)
    with sole_writer(run), ray_cluster():
        check_shared({"run": settings.run})
        train_run(draft, start.result(), settings.tracking)
    best = best_checkpoint(run, settings.validation.metric)
    value = score(best.history[-1], settings.validation.metric)
    print(f"best epoch {best.epoch + 1}: validation {settings.validation.metric} {value:.3f}, in {best.store.uri}")
    return 0


if __name__ == "__main__":
    main(TrainJobSettings, job)

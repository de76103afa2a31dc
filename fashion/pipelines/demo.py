"""The demo: a catalogue is drawn, prepared, trained on and searched, with no data of one's own; all of it under runs/."""

import logging
from dataclasses import replace
from pathlib import Path

from cluster.start import ray_cluster
from cluster.storage import check_storage
from fashion.claim import sole_writer
from fashion.data.settings import TableSettings
from fashion.pipelines.evaluate import EvaluateSettings, evaluate_run
from fashion.pipelines.log import kept_log
from fashion.pipelines.prepare import prepare_table
from fashion.pipelines.progress import Progress
from fashion.pipelines.sweep import SweepJobSettings, sweep_run
from fashion.pipelines.train import TrainJobSettings, announce, found_beside, train_run
from fashion.storage import Store
from fashion.training.checkpoint import Checkpoint, best_checkpoint
from fashion.tuning.plan import plan_sweep
from fashion.tuning.records import Trial

TRAIN, SWEEP = "runs/demo", "runs/sweep-demo"
ITEMS = 400
EPOCHS = 8  # a fraction of a minute; more go on rising

log = logging.getLogger(__name__)


def draw(root: Path, seed: int) -> None:
    """Draw the demo catalogue, with progress shown, where it is not there yet."""
    from fashion.demo.catalogue import write_demo

    with Progress("draw", unit="items") as bar:
        write_demo(root / "catalogue", items=ITEMS, seed=seed, progress=bar.to)


def train_demo(settings: TrainJobSettings) -> Checkpoint:
    """Draw, prepare, train, evaluate. Returns the run's best checkpoint."""
    check_storage("run", TRAIN, writes=True)
    root = Path.cwd() / TRAIN
    log.info(f"the demo: {ITEMS} garments are drawn, prepared, trained on and searched, in {root}")
    draw(root, settings.seed)
    run = Store(root / "run")
    start = found_beside(settings.network, run)
    with sole_writer(Store(root)), kept_log(run, "demo"), ray_cluster():
        table = prepare_table(Store(root / "catalogue"), Store(root / "table"), TableSettings())
        train = replace(settings.train, epochs=settings.epochs or EPOCHS)
        train_run(announce(train, table, run), start.result(), settings.tracking)
        evaluate_run(EvaluateSettings(data=table.store.uri, run=run.uri), table, run)
        return best_checkpoint(run)


def sweep_demo(settings: SweepJobSettings) -> Trial:
    """Draw, prepare, sweep; the catalogue is that of `train_demo`. Returns the best trial."""
    check_storage("run", SWEEP, writes=True)
    root = Path.cwd() / TRAIN
    log.info(f"the demo of sweeps: the demo catalogue is drawn and prepared in {root}, many trials follow")
    store = Store(Path.cwd() / SWEEP)
    draw(root, settings.train.seed)
    with sole_writer(Store(root)), sole_writer(store), kept_log(store, "demo"), ray_cluster():
        table = prepare_table(Store(root / "catalogue"), Store(root / "table"), TableSettings())
        return sweep_run(settings, plan_sweep(settings.sweep, table), table, store)

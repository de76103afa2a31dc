"""A run's figures as people see them: a bar, a line an epoch, and Ray's metrics."""

import logging
from collections.abc import Callable

from cluster.gauges import Gauges
from fashion.data.neighbours import DUPLICATES
from fashion.losses.settings import TASKS
from fashion.pipelines.progress import Progress
from fashion.storage import Store
from fashion.training.events import EpochDone, StepDone
from fashion.training.history import EpochRow, score
from fashion.training.recipe import EMBEDDING
from fashion.training.settings import TrainSettings

log = logging.getLogger(__name__)

# Of so many queries of the validation so many find their item among the first 20, and of these fewer than FIRST first: what
# stands before it are look-alikes.
QUERIES, AMONG_20, FIRST = 200, 0.9, 0.6


def measure(run: Store) -> Callable[[StepDone | EpochDone], None]:
    """Figures of the run as they come in -> Ray's metrics, tagged with the run's folder. Ray runs."""
    gauges = Gauges("train", run.uri)

    def show(event: StepDone | EpochDone) -> None:
        if isinstance(event, StepDone):
            rates = {"images_per_s": event.images / event.seconds, "wait_fraction": event.wait_s / event.seconds}
            gauges.set({"loss": event.loss, **rates})
        else:
            recall = {f"recall_at_{k}": value for k, value in (event.row.recall or {}).items()}
            gauges.set({"epoch": event.epoch + 1, **recall})

    return show


class TrainLines:
    """Figures of the run as they come in -> the bar and a line an epoch. `by_item`: images match where their items do."""

    def __init__(self, bar: Progress, steps: int, settings: TrainSettings, *, by_item: bool = True):
        self.bar, self.steps, self.settings, self.by_item = bar, steps, settings, by_item
        self.seconds = self.mined_s = 0.0  # of the epochs that were seen, and of finding neighbours for them
        self.loss: float | None = None
        self.recall: float | None = None
        self.shown = -1  # the last epoch that has its line
        self.last = (-1, -1)  # the last step

    def __call__(self, event: StepDone | EpochDone) -> None:
        if isinstance(event, EpochDone):
            if event.epoch > self.shown:
                self.shown = event.epoch
                self._epoch(event.row)
            return
        at = (event.epoch, event.step)
        if at <= self.last:
            where = f"step {event.step} of epoch {event.epoch + 1}" if event.step else f"epoch {event.epoch}"
            log.info(f"a fault ended the workers: goes on after {where}")
        self.last = at
        self.loss = event.loss if event.loss is not None else self.loss
        figures = {"loss": f"{self.loss:.3f}"} if self.loss is not None else {}
        if self.recall is not None:
            figures[self.settings.validation.metric] = f"{self.recall:.3f}"
        figures |= {
            "images/s": f"{event.images / event.seconds:.0f}",
            "wait": f"{1000 * event.wait_s:.0f}ms",
            "step": f"{1000 * event.step_s:.0f}ms",
        }
        self.bar.to(event.epoch * self.steps + event.step + 1, None, **figures)

    def _epoch(self, row: EpochRow) -> None:
        metric = self.settings.validation.metric
        line = f"epoch {row.epoch + 1:3d}/{self.settings.epochs}  loss {row.loss:.3f}"
        if row.recall is not None:
            self.recall = score(row, metric)
            line += f"  validation {metric} {self.recall:.3f}"
            line += f"  category {row.category_top1:.3f}" if row.category_top1 is not None else ""
            line += f"  landmark error {row.landmark_error:.3f}" if row.landmark_error is not None else ""
        line += (
            f"  {row.images_per_s:,.0f} images/s  data wait {100 * row.data_wait_s / row.seconds:.0f}%"
            f"  step {1000 * row.step_s:.0f} ms"
        )
        log.info(line)
        losses = {name: row.statistics.get(f"loss_{name}") for name in (EMBEDDING, *TASKS)}
        if losses[EMBEDDING] is not None:
            log.info("  losses: " + "  ".join(f"{name} {loss:.4f}" for name, loss in losses.items()))
        if row.mining_s is not None:
            log.info(_mined(row, row.mining_s))
        if row.advice:
            log.warning(f"warning: {row.advice}")
        self.mined_s += row.mining_s or 0.0
        self.seconds += row.seconds + (row.validation_s or 0.0) + (row.mining_s or 0.0)
        if row.epoch + 1 == self.settings.epochs:
            self._end(row)

    def _end(self, row: EpochRow) -> None:
        if self.mined_s:
            log.info(f"finding neighbours took {self.mined_s / self.seconds:.0%} of the training")
        elif self.by_item and not self.settings.mining.every and _look_alikes(row):
            log.info(
                "many queries find a look-alike first, and their item among the first 20: batches of look-alikes may help "
                "(--mining.every 2)"
            )


def _mined(row: EpochRow, seconds: float) -> str:
    """What the search for the neighbours of hard batches cost, and what it found."""
    line = f"  neighbours of hard batches found in {seconds:.1f} s, {seconds / row.seconds:.2f} of an epoch"
    line += f"; an item's nearest has a similarity of {row.near:.3f}" if row.near is not None else ""
    if row.near_duplicates:
        line += f"; {row.near_duplicates:,} pairs may be one garment listed twice: {DUPLICATES}"
    return line


def _look_alikes(row: EpochRow) -> bool:
    recall = row.recall or {}
    if not {"1", "20"} <= set(recall) or (row.queries or 0) < QUERIES:
        return False
    return recall["20"] >= AMONG_20 and recall["1"] < FIRST * recall["20"]

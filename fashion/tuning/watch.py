"""What the driver of a sweep sees while trials run: it keeps their records, the budget and the clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from fashion.storage import Store
from fashion.tuning.plan import SweepPlan
from fashion.tuning.records import CLOCK, Clock, Status, Trial, TrialRecord, end_trial, newest

CLOCK_EVERY_S = 20.0


@dataclass(kw_only=True)
class Standing:
    """A trial as it stands."""

    record: TrialRecord
    scores: dict[int, float] = field(default_factory=dict)  # validation metric by epoch, from 1

    @property
    def epoch(self) -> int:
        return max(self.scores, default=0)

    @property
    def best(self) -> float | None:
        return max(self.scores.values(), default=None)


@dataclass(frozen=True, kw_only=True)
class News:
    """What has just happened, and all trials begun so far."""

    event: str  # begun, epoch, retried, ended
    trial: Standing
    trials: list[Standing]


class Watch(tune.Callback):
    """Tune tells it of every trial."""

    def __init__(self, plan: SweepPlan, store: Store, past: list[Trial], spent: float, show: Callable[[News], None]):
        self.plan, self.store, self.show = plan, store, show
        self.standing = {t.record.number: Standing(record=t.record, scores=dict(t.scores)) for t in past}
        self.epochs = sum(t.epochs for t in past)
        self.running: set[int] = set()
        self.numbers: dict[str, int] = {}  # of Tune's trials
        self.spent, self.began, self.written = spent, time.monotonic(), 0.0

    def over(self) -> bool:
        """Whether the budget of hours or epochs is used up."""
        budget = self.plan.settings.budget
        return (budget.hours is not None and self.seconds >= budget.hours * 3600) or (
            budget.epochs is not None and self.epochs >= budget.epochs
        )

    @property
    def seconds(self) -> float:
        """Spent on this sweep, by all commands."""
        return self.spent + time.monotonic() - self.began

    def clock(self) -> None:
        self.store.write_value(CLOCK, Clock(seconds=round(self.seconds, 1)))
        self.written = time.monotonic()

    def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
        if time.monotonic() - self.written >= CLOCK_EVERY_S:
            self.clock()

    def on_trial_start(self, iteration: int, trials: list, trial: TuneTrial, **info: Any) -> None:
        # A population's trial that takes over another's weights gets its settings whole, its number among them.
        number = self.numbers.setdefault(trial.trial_id, trial.config["trial"]["number"])
        values = trial.config["trial"]["values"]
        self.running.add(number)
        standing = self.standing.setdefault(number, Standing(record=TrialRecord(number=number, values=values)))
        if standing.record.values != values:  # a population's trial took over another's weights
            standing.record, standing.scores = replace(standing.record, values=values), {}
        self._tell("begun", standing)

    def on_trial_result(self, iteration: int, trials: list, trial: TuneTrial, result: dict, **info: Any) -> None:
        standing = self._standing_of(trial)
        if "score" not in result or result["epoch"] in standing.scores:
            return  # Tune repeats a trial's last result at its end, and a resumed trial its first ones
        if not standing.scores:  # it may have taken over weights, and its own epochs are counted from there
            standing.record = newest(self.store, standing.record.number) or standing.record
        self.epochs += result["epoch"] - max(standing.epoch, standing.record.parent_epochs)
        standing.scores[result["epoch"]] = result["score"]
        self._tell("epoch", standing)

    def on_trial_recover(self, iteration: int, trials: list, trial: TuneTrial, **info: Any) -> None:
        standing = self._standing_of(trial)
        standing.record = newest(self.store, standing.record.number) or standing.record
        self._tell("retried", standing)

    def on_trial_complete(self, iteration: int, trials: list, trial: TuneTrial, **info: Any) -> None:
        standing = self._standing_of(trial)
        self.running.discard(standing.record.number)
        finished = standing.epoch >= self.plan.epochs
        # A trial that the budget cuts short stays open: a larger budget goes on with it.
        if finished or not self.over():
            self._end(standing, "finished" if finished else "stopped")

    def on_trial_error(self, iteration: int, trials: list, trial: TuneTrial, **info: Any) -> None:
        standing = self._standing_of(trial)
        self.running.discard(standing.record.number)
        self._end(standing, "failed")

    def _standing_of(self, trial: TuneTrial) -> Standing:
        return self.standing[self.numbers[trial.trial_id]]

    def _end(self, standing: Standing, status: Status) -> None:
        record = newest(self.store, standing.record.number) or standing.record
        error = record.error or "its process died" if status == "failed" else None
        standing.record = end_trial(self.store, record, status, error)
        self._tell("ended", standing)

    def _tell(self, event: str, standing: Standing) -> None:
        self.show(News(event=event, trial=standing, trials=list(self.standing.values())))


class BudgetStopper(tune.Stopper):
    """Ends each trial at its next epoch where the budget is used up, and then the sweep."""

    def __init__(self, watch: Watch):
        self.watch = watch

    def __call__(self, trial_id: str, result: dict) -> bool:
        return self.watch.over()

    def stop_all(self) -> bool:
        return self.watch.over() and not self.watch.running

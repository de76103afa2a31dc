"""A sweep's files. All that a sweep knows lies in plain files, so that nothing but them is needed to go on.

sweep.json                  what the sweep is: base settings, space, search, scheduler, data
clock.json                  seconds spent so far
trials/trial-0007/          a training run (fashion.training.checkpoint), and
    trial.json              its searched settings and how it ended
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from fashion.identity import check_same
from fashion.storage import Store
from fashion.training.history import HISTORY, EpochRow, read_history, score
from fashion.training.run_record import TableRecord
from fashion.tuning.overrides import Values

SWEEP, CLOCK, TRIALS, TRIAL = "sweep.json", "clock.json", "trials", "trial.json"
Status = Literal["open", "finished", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class SweepRecord:
    """sweep.json."""

    kind: str = "sweep"
    settings: dict[str, Any]  # by the names of SweepPlan and TrainSettings
    data: TableRecord
    versions: dict[str, Any] = field(default_factory=dict)
    created: str | None = None


@dataclass(frozen=True, kw_only=True)
class Clock:
    """clock.json."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """trial.json."""

    number: int  # from 0
    values: Values
    status: Status = "open"
    error: str | None = None
    generation: int = 1  # population-based training: a new one where the trial took over another's weights
    parent: str | None = None  # and the trial whose weights it took
    parent_epochs: int = 0  # that those weights had been trained for

    @property
    def name(self) -> str:
        return trial_name(self.number, self.generation)

    @property
    def done(self) -> bool:
        return self.status != "open"


def trial_name(number: int, generation: int = 1) -> str:
    return f"trial-{number:04d}" + (f"-{generation}" if generation > 1 else "")


def trial_number(name: str) -> int:
    """The number in a name that `trial_name` made."""
    return int(name.split("-")[1])


class Best(NamedTuple):
    """A trial's best validation."""

    epoch: int  # from 1
    score: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial and its validated epochs."""

    record: TrialRecord
    scores: tuple[tuple[int, float], ...] = ()  # epoch (from 1) and validation metric, in order
    seconds: float = 0.0  # in its epochs, with validation

    @property
    def epochs(self) -> int:
        """Epochs it was trained for itself."""
        return self.scores[-1][0] - self.record.parent_epochs if self.scores else 0

    @property
    def best(self) -> Best | None:
        """Its best validation, the earliest of equals."""
        return Best(*max(self.scores, key=lambda s: (s[1], -s[0]))) if self.scores else None


def scored(trials: Iterable[Trial]) -> list[tuple[Trial, Best]]:
    """The trials that came to a result, each with its best."""
    return [(trial, best) for trial in trials if (best := trial.best)]


def trial_of(record: TrialRecord, history: list[EpochRow], metric: str) -> Trial:
    own = [row for row in history if row.epoch >= record.parent_epochs]
    scores = tuple((row.epoch + 1, score(row, metric)) for row in own if row.recall is not None)
    seconds = sum(row.seconds + (row.validation_s or 0) for row in own)
    return Trial(record=record, scores=scores, seconds=seconds)


def write_trial(sweep: Store, record: TrialRecord) -> None:
    sweep.write_value(f"{TRIALS}/{record.name}/{TRIAL}", record)


def read_trials(sweep: Store, metric: str) -> list[Trial]:
    """All trials begun, by number and generation."""
    trials = []
    names = set(sweep.names(TRIALS, recursive=True))
    for name in sorted(n for n in names if n.endswith(f"/{TRIAL}")):
        run = name.removesuffix(f"/{TRIAL}")
        history = read_history(sweep / run) if f"{run}/{HISTORY}" in names else []
        trials.append(trial_of(sweep.read_value(name, TrialRecord), history, metric))
    return sorted(trials, key=lambda t: (t.record.number, t.record.generation))


def newest(sweep: Store, number: int) -> TrialRecord | None:
    """The last generation's record of a trial; None where it was never begun."""
    record, generation = None, 1
    while sweep.exists(name := f"{TRIALS}/{trial_name(number, generation)}/{TRIAL}"):
        record, generation = sweep.read_value(name, TrialRecord), generation + 1
    return record


def end_trial(sweep: Store, record: TrialRecord, status: Status, error: str | None = None) -> TrialRecord:
    record = replace(record, status=status, error=error)
    write_trial(sweep, record)
    return record


def open_sweep(store: Store, sweep: SweepRecord) -> None:
    """Write what the sweep is, or check that the folder holds the very same sweep. Raises InputError otherwise."""
    if not store.exists(SWEEP):
        store.write_value(SWEEP, sweep)
        return
    theirs = store.read_value(SWEEP, SweepRecord)
    advice = "use its data and settings, or choose another --run (budget, resources and concurrent may change)"
    check_same(store, "a sweep", {"data": theirs.data.fingerprint}, {"data": sweep.data.fingerprint}, advice)
    check_same(store, "a sweep", theirs.settings, sweep.settings, advice)


def seconds_spent(store: Store) -> float:
    return store.read_value(CLOCK, Clock).seconds if store.exists(CLOCK) else 0.0

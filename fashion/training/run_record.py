"""run.json: what a training run is, from its first command on."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from fashion.identity import check_same
from fashion.json_values import left_out, of_plain
from fashion.storage import Store

RUN = "run.json"


@dataclass(frozen=True, kw_only=True)
class TableRecord:
    """An item table that a run is of."""

    uri: str = ""
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class DataRecord(TableRecord):
    """The table of the items, and those that are there for their labels."""

    labels: list[TableRecord] | None = left_out()

    @property
    def fingerprints(self) -> dict[str, Any]:
        return {"data": self.fingerprint, "labels": [table.fingerprint for table in self.labels or ()]}


@dataclass(frozen=True, kw_only=True)
class UsedValidation:
    """Of settings.validation."""

    metric: str = "recall@1"
    every: int | None = None


@dataclass(frozen=True, kw_only=True)
class UsedBatch:
    """Of settings.batch."""

    crop: str | None = None


@dataclass(frozen=True, kw_only=True)
class UsedSettings:
    """Of a run's settings, those that whoever finds the run asks for."""

    epochs: int
    seed: int = 0
    network: dict[str, Any] = field(default_factory=dict)
    batch: UsedBatch = field(default_factory=UsedBatch)
    validation: UsedValidation = field(default_factory=UsedValidation)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Raises ValueError where the settings lack what is asked of them."""

    kind: str = "training-run"
    settings: dict[str, Any]  # TrainSettings.identity(), as it was in the version that began the run
    data: DataRecord
    items: int = 0
    steps: int = 0  # of an epoch
    versions: dict[str, Any] = field(default_factory=dict)
    created: str | None = None

    def __post_init__(self) -> None:
        _ = self.used

    @cached_property
    def used(self) -> UsedSettings:
        return of_plain(UsedSettings, self.settings, "settings")


def read_run(run: Store) -> RunRecord | None:
    """What the folder's run is; None where none has begun. Raises InputError where it is damaged."""
    return run.read_value(RUN, RunRecord) if run.exists(RUN) else None


def open_run(store: Store, run: RunRecord) -> None:
    """Write what the run is, or check that the folder holds the very same run, but for its number of epochs, which is
    written there. Raises InputError otherwise."""
    theirs = read_run(store)
    if theirs is None:
        store.write_value(RUN, run)
        return
    epochs = {"epochs": run.used.epochs}
    check_same(store, "a run", theirs.data.fingerprints, run.data.fingerprints, "choose another --run")
    advice = "use its settings, or choose another --run"
    check_same(store, "a run", theirs.settings | epochs, run.settings, advice)
    if theirs.used.epochs != run.used.epochs:
        store.write_value(RUN, replace(theirs, settings=theirs.settings | epochs))

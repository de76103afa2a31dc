"""One trial: a training run in the sweep's folder, told to Ray Tune epoch by epoch."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ray import tune
from ray.tune.trainable.function_trainable import wrap_function

from fashion.data.table import ItemTable
from fashion.storage import Store
from fashion.training.history import read_history
from fashion.training.settings import TrainSettings
from fashion.tuning.overrides import Values, override
from fashion.tuning.records import TRIALS, TrialRecord, end_trial, newest, trial_number, trial_of, write_trial

START = "start"  # folder of the weights that a population's trial took over
POINTER = "pointer.json"
# What a training run tells of each epoch saved: the epoch from 1, its score, and how to end the run.
Tell = Callable[[int, float, Callable[[], None]], None]
# Settings, table, run, checkpoint to start from, what to tell
TrainFunction = Callable[[TrainSettings, ItemTable, Store, Store | None, Tell], None]


def train(settings: TrainSettings, table: ItemTable, run: Store, start: Store | None, tell: Tell) -> None:
    """A training run on Ray Train; goes on where an earlier one of the same folder ended."""
    from fashion.training.driver import fit
    from fashion.training.job import plan_job
    from fashion.training.mend import mend_run

    mend_run(run, settings.validation.metric)
    job = replace(plan_job(settings, table, run), start=start)
    fit(job, lambda row: None, lambda epoch, score, end: tell(epoch + 1, score, end))


@dataclass(kw_only=True)
class TrialFunction:
    """What Tune runs: a trial's settings -> reports of `epoch` and `score`."""

    sweep: Store
    table: ItemTable
    base: TrainSettings
    population: bool
    train: TrainFunction = train
    end: Callable[[], None] | None = None  # ends the training run that is under way
    stopped: bool = False

    def stop(self) -> None:
        """Tune ends the trial: end its training run first, or what it holds of the cluster stays taken."""
        self.stopped = True
        if self.end is not None:
            self.end()

    def __call__(self, config: dict) -> None:
        record = self._record(config["trial"]["values"])
        try:
            self._run(record)
        except Exception as fault:
            if self.stopped:
                return
            # Whatever it is, the leaderboard says it.
            write_trial(self.sweep, replace(record, error=" ".join(str(fault).split()) or type(fault).__name__))
            raise

    def _run(self, record: TrialRecord) -> None:
        folder = f"{TRIALS}/{record.name}"
        run = self.sweep / folder
        told = 0

        def tell(epoch: int, score: float, end: Callable[[], None] | None = None) -> None:
            nonlocal told
            self.end = end
            if epoch > told:  # each once: a scheduler counts what it is told
                told = epoch
                self._report(record, epoch, score)

        # Ray Train goes on after the newest checkpoint, and Tune has to hear of what is before it.
        for epoch, score in trial_of(record, read_history(run), self.base.validation.metric).scores:
            tell(epoch, score)
        settings = override(self.base, record.values)
        self.train(settings, self.table, run, _start(run), tell)
        self.end = None

    def _report(self, record: TrialRecord, epoch: int, score: float) -> None:
        metrics = {"epoch": epoch, "score": score}
        if not self.population:
            tune.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:  # what another trial is told to go on from
            (Path(folder) / POINTER).write_text(json.dumps({"trial": record.name, "epoch": epoch}))
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))

    def _record(self, values: Values) -> TrialRecord:
        """The trial's own record: the one it has, or a new one; or a new generation where it is to take over."""
        number = trial_number(tune.get_context().get_trial_name())
        own = newest(self.sweep, number)
        pointer = _pointer() if self.population else None
        if own is None:
            own = TrialRecord(number=number, values=values)
            write_trial(self.sweep, own)
        taken = own.parent and pointer and own.parent == pointer["trial"] and own.parent_epochs >= pointer["epoch"]
        if pointer is None or taken or trial_number(pointer["trial"]) == number:
            return own
        return self._take_over(own, pointer["trial"], values)

    def _take_over(self, own: TrialRecord, parent: str, values: Values) -> TrialRecord:
        from fashion.training.checkpoint import checkpoint_name, checkpoints

        last = checkpoints(self.sweep / f"{TRIALS}/{parent}")[-1]
        if last.epoch + 1 >= self.base.length:  # nothing would be left to train
            return own
        record = TrialRecord(
            number=own.number,
            values=values,
            generation=own.generation + 1,
            parent=parent,
            parent_epochs=last.epoch + 1,
        )
        into = self.sweep / f"{TRIALS}/{record.name}/{START}/{checkpoint_name(last.epoch)}"
        for name in last.store.names():  # a copy, for the other trial goes on and drops it
            into.write(name, last.store.read(name))
        end_trial(self.sweep, own, "stopped")
        write_trial(self.sweep, record)  # last, so that a copy that was cut short is made again
        return record


def _start(run: Store) -> Store | None:
    """The checkpoint that a population's trial took over; None where it took none."""
    names = run.names(START, recursive=True)
    return run / names[0].rsplit("/", 1)[0] if names else None


def _pointer() -> dict | None:
    checkpoint = tune.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return json.loads((Path(folder) / POINTER).read_text())


def trainable(function: TrialFunction) -> type[tune.Trainable]:
    """What Tune is given: `function`, with its training run ended where Tune ends the trial."""

    def trial(config: dict) -> None:
        function(config)

    class EndedTrial(wrap_function(trial)):  # type: ignore[misc]  # Ray makes the base where it is called
        def cleanup(self) -> None:
            function.stop()
            super().cleanup()

    return EndedTrial

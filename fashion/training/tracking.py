"""Where a run's figures are shown beside the log: TensorBoard files in the run's folder; MLflow and Weights & Biases where
they are installed and asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from fashion.errors import InputError
from fashion.json_values import to_plain
from fashion.storage import Store
from fashion.training.events import EpochDone, StepDone
from fashion.training.history import EpochRow
from fashion.training.tensorboard import file_name, header, scalar

TENSORBOARD = "tensorboard"  # folder in the run's
POINTS = 20  # of an epoch, of the figures of single steps

Scalars = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class TrackingSettings:
    """Which trackers a run reports to."""

    tensorboard: bool = True
    """TensorBoard files in the run's folder, brought up to date after every epoch."""
    mlflow: bool = False
    """MLflow (extra mlflow); MLFLOW_TRACKING_URI says where."""
    wandb: bool = False
    """Weights & Biases (extra wandb); WANDB_API_KEY and WANDB_MODE hold."""
    project: str = "fashion-retrieval"
    """The experiment of MLflow, the project of Weights & Biases."""


class Tracker:
    """Steps and epochs of the training loop -> scalars of every tracker that is set. Use as a context.

    Nothing is opened before the first of them: a run that is finished leaves no trace. A tracker that fails is dropped with
    a word to `warn`, and the training goes on.
    """

    def __init__(
        self,
        settings: TrackingSettings,
        run: Store,
        parameters: dict,
        *,
        steps: int,
        warn: Callable[[str], None] = print,
    ):
        """`parameters`: what the trackers note as the run's settings; `steps`: of an epoch. Raises InputError."""
        self.steps, self.every, self.warn = steps, max(1, steps // POINTS), warn
        _, name = run.parent()
        self.to_open: dict[str, Callable] = {}
        if settings.tensorboard:
            self.to_open["tensorboard"] = partial(_TensorBoard, run)
        for tracker, sink in (("mlflow", _Mlflow), ("wandb", _Wandb)):
            if getattr(settings, tracker):
                self.to_open[tracker] = partial(sink, _installed(tracker), settings.project, name, parameters)
        self.sinks: dict[str, object] = {}

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *fault: object) -> None:
        for name in list(self.sinks):
            self._do(name, lambda sink: sink.close())

    def __call__(self, event: StepDone | EpochDone) -> None:
        whole = isinstance(event, EpochDone)
        if isinstance(event, EpochDone):
            step, scalars = (event.epoch + 1) * self.steps, epoch_scalars(event.row)
        else:
            step, scalars = event.epoch * self.steps + event.step + 1, step_scalars(event)
            if step % self.every:
                return
        for name in [*self.sinks, *self.to_open]:
            self._do(name, lambda sink: sink.log(scalars, step, whole))

    def _do(self, name: str, act: Callable) -> None:
        try:
            if name in self.to_open:
                self.sinks[name] = self.to_open.pop(name)()
            act(self.sinks[name])
        except Exception as fault:  # a server that is away must not cost the training
            self.sinks.pop(name, None)
            self.warn(f"note: tracking.{name} failed and is left out from here: {' '.join(str(fault).split())}")


def step_scalars(event: StepDone) -> Scalars:
    """Of one step."""
    scalars = {"step/wait_s": event.wait_s, "step/seconds": event.step_s}
    return scalars | ({"step/loss": event.loss} if event.loss is not None else {})


def epoch_scalars(row: EpochRow) -> Scalars:
    """Every number of an epoch's row of the history."""
    plain = {
        f"epoch/{k}": v for k, v in to_plain(row).items() if isinstance(v, int | float) and not isinstance(v, bool)
    }
    del plain["epoch/epoch"]
    return plain | {f"validation/recall_at_{k}": v for k, v in (row.recall or {}).items()}


class _TensorBoard:
    """A file in the run's folder, written anew, whole, after each epoch: a bucket cannot append."""

    def __init__(self, run: Store):
        self.run, self.name = run, f"{TENSORBOARD}/{file_name()}"
        self.data = bytearray(header())

    def log(self, scalars: Scalars, step: int, whole: bool) -> None:
        for name, value in scalars.items():
            self.data += scalar(name, value, step)
        if whole:
            self.close()

    def close(self) -> None:
        self.run.write(self.name, bytes(self.data))


class _Mlflow:
    def __init__(self, mlflow: ModuleType, project: str, name: str, parameters: dict):
        self.mlflow = mlflow
        mlflow.set_experiment(project)
        mlflow.start_run(run_name=name)
        mlflow.log_params(flat(parameters))

    def log(self, scalars: Scalars, step: int, whole: bool) -> None:
        self.mlflow.log_metrics(scalars, step=step)

    def close(self) -> None:
        self.mlflow.end_run()


class _Wandb:
    def __init__(self, wandb: ModuleType, project: str, name: str, parameters: dict):
        self.run = wandb.init(project=project, name=name, config=parameters)

    def log(self, scalars: Scalars, step: int, whole: bool) -> None:
        self.run.log(scalars, step=step)

    def close(self) -> None:
        self.run.finish()


def flat(settings: dict, prefix: str = "") -> dict:
    """Nested settings as one level: {"loss": {"margin": 0.1}} -> {"loss.margin": 0.1}."""
    flattened: dict[str, Any] = {}
    for name, value in settings.items():
        inner = isinstance(value, dict)
        flattened |= flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return flattened


def all_of(*shows: Callable[[StepDone | EpochDone], None]) -> Callable[[StepDone | EpochDone], None]:
    """One function that hands its event to each."""

    def show(event: StepDone | EpochDone) -> None:
        for each in shows:
            each(event)

    return show


def _installed(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError:
        raise InputError(
            f"tracking.{name}: {name} is not installed; pip install 'fashion-retrieval[{name}]' on the head of the "
            "cluster, or leave it out"
        ) from None

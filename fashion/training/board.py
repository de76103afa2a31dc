"""What a training run tells the process that started it: the workers and Ray Train's controller pin it up, and a thread
there shows it."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayActorError, RayError
from ray.train import UserCallback

from fashion.causes import short_of_memory
from fashion.errors import InputError, RunLost
from fashion.ray_seam.drained import drained_machines
from fashion.ray_seam.trainer import ControllerStarted
from fashion.training.events import CheckpointRegistered, EpochDone, Event, StepDone, Trouble
from fashion.training.resume_point import ResumePoint

log = logging.getLogger(__name__)

POLL_S = 0.5
DRAINED_S = 5.0  # between two looks at which machines are to go
LAST_S = 20.0  # longest wait for a last checkpoint: a pod has thirty seconds, a machine in a cloud two minutes
END_S = 30.0  # longest wait for a run that is to end
Show = Callable[[StepDone | EpochDone], None]
# Epoch, validation metric, and a function that ends the run there and then and frees what it holds of the cluster.
Saved = Callable[[int, float, Callable[[], None]], None]


@ray.remote(num_cpus=0)
class Board:
    """Where figures are pinned up, and what all the workers have to agree on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.point = ResumePoint()
        self.trains = False  # a step was done since the workers started
        self.asks = 0  # how often a checkpoint was asked for, as soon as may be
        self.awaited = False  # whether one that was asked for is still to come

    def post(self, event: Event) -> int:
        """Returns how often a checkpoint was asked for since the workers started: each is written once."""
        self.events.append(event)
        self.trains |= isinstance(event, StepDone)
        return self.asks

    def take(self) -> list[Event]:
        events, self.events = self.events, []
        return events

    def begin(self, point: ResumePoint) -> None:
        """Workers are about to start, and go on there."""
        self.point, self.trains, self.asks, self.awaited = point, False, 0, False

    def resume_point(self) -> ResumePoint:
        return self.point

    def ask(self) -> None:
        """For a checkpoint, of whoever trains."""
        self.asks, self.awaited = self.asks + self.trains, self.trains

    def answer(self) -> None:
        """It is written, or cannot be."""
        self.awaited = False

    def is_awaited(self) -> bool:
        return self.awaited


def ask(answer: ray.ObjectRef) -> Any:
    """What a board answers. Raises RunLost where it has ended: Ray Train would take that for the end of a worker, and start
    others for ever."""
    try:
        return ray.get(answer)
    except (RayActorError, OutOfMemoryError) as fault:
        why = short_of_memory(str(fault)) or "the process that gathers the run's figures was killed"
        raise RunLost(f"{why}; the same command goes on from here") from None


def last_checkpoint(board: Any) -> None:
    """Have one written before the run is ended, and wait for it while there is time."""
    until = time.monotonic() + LAST_S
    with suppress(RayError):
        ray.get(board.ask.remote(), timeout=LAST_S)
        while ray.get(board.is_awaited.remote(), timeout=LAST_S) and time.monotonic() < until:
            time.sleep(0.1)


class Registered(UserCallback):
    """In the controller: pins up each checkpoint that Ray Train has registered."""

    def __init__(self, board: Any):
        self.board = board

    def after_report(self, run_context: Any, metrics: list[dict], checkpoint: Any) -> None:
        told = next(m for m in metrics if "epoch" in m)
        ask(self.board.post.remote(CheckpointRegistered(epoch=told["epoch"], score=told["score"])))


class Watcher(threading.Thread):
    """Shows what is pinned up for as long as a `with` block lasts. Where showing fails, it ends the run, which would go on
    unseen, and the block ends with that error."""

    def __init__(self, board: Any, show: Show, saved: Saved | None):
        super().__init__(daemon=True, name="show figures")
        self.board, self.show, self.saved = board, show, saved
        self.controller: Any = None
        self.fault: BaseException | None = None
        self.stop = threading.Event()
        self.drained: set[str] = set()
        self.looked = time.monotonic()

    def __enter__(self) -> "Watcher":
        self.start()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.stop.set()
        self.join(timeout=END_S)
        if self.fault is None or (kind and issubclass(kind, KeyboardInterrupt)):
            return
        if isinstance(self.fault, InputError | RunLost):
            raise self.fault
        what = " ".join(f"{type(self.fault).__name__}: {self.fault}".split())
        raise RuntimeError(f"the run's figures could not be shown, so it was ended ({what})") from self.fault

    def run(self) -> None:
        try:
            while True:
                last = self.stop.wait(POLL_S)
                for event in ask(self.board.take.remote()):
                    self._tell(event)
                if last:
                    return
                if time.monotonic() - self.looked >= DRAINED_S:
                    self._look()
        except BaseException as fault:
            self.fault = fault
            self.end()

    def _look(self) -> None:
        """A cloud takes a machine back: what was trained is written before it goes."""
        self.looked, drained = time.monotonic(), drained_machines()
        if drained - self.drained:
            self.board.ask.remote()
        self.drained = drained

    def _tell(self, event: Event | ControllerStarted) -> None:
        match event:
            case ControllerStarted():
                self.controller = event.controller
            case CheckpointRegistered():
                if self.saved:
                    self.saved(event.epoch, event.score, self.end)
            case Trouble():
                log.warning(event.line)
            case _:
                self.show(event)

    def end(self) -> None:
        """End the run. Killed instead, the controller would leave its workers' place in the cluster taken."""
        if self.controller is not None:
            with suppress(RayActorError, GetTimeoutError):
                ray.get(self.controller.abort.remote(), timeout=END_S)

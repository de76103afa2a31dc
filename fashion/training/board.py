"""What a training run tells the process that started it: the workers and Ray Train's controller pin it up, and a thread
there shows it."""

import threading
from collections.abc import Callable
from contextlib import suppress

import ray
from ray.exceptions import GetTimeoutError, RayActorError
from ray.train import UserCallback

from fashion.errors import InputError
from fashion.ray_seam.trainer import ControllerStarted
from fashion.training.events import CheckpointRegistered, EpochDone, Event, StepDone

POLL_S = 0.5
END_S = 30.0  # longest wait for a run that is to end
Show = Callable[[StepDone | EpochDone], None]
# Epoch, validation metric, and a function that ends the run there and then and frees what it holds of the cluster.
Saved = Callable[[int, float, Callable[[], None]], None]


@ray.remote(num_cpus=0)
class Board:
    """Where figures are pinned up."""

    def __init__(self):
        self.events: list[Event] = []

    def post(self, event: Event) -> None:
        self.events.append(event)

    def take(self) -> list[Event]:
        events, self.events = self.events, []
        return events


class Registered(UserCallback):
    """In the controller: pins up each checkpoint that Ray Train has registered."""

    def __init__(self, board):
        self.board = board

    def after_report(self, run_context, metrics: list[dict], checkpoint) -> None:
        told = next(m for m in metrics if "epoch" in m)
        ray.get(self.board.post.remote(CheckpointRegistered(epoch=told["epoch"], score=told["score"])))


class Watcher(threading.Thread):
    """Shows what is pinned up for as long as a `with` block lasts. Where showing fails, it ends the run, which would go on
    unseen, and the block ends with that error."""

    def __init__(self, board, show: Show, saved: Saved | None):
        super().__init__(daemon=True, name="show figures")
        self.board, self.show, self.saved = board, show, saved
        self.controller = None
        self.fault: BaseException | None = None
        self.stop = threading.Event()

    def __enter__(self) -> "Watcher":
        self.start()
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        self.stop.set()
        self.join(timeout=END_S)
        if self.fault is None or (kind and issubclass(kind, KeyboardInterrupt)):
            return
        if isinstance(self.fault, InputError):
            raise self.fault
        what = " ".join(f"{type(self.fault).__name__}: {self.fault}".split())
        raise RuntimeError(f"the run's figures could not be shown, so it was ended ({what})") from self.fault

    def run(self) -> None:
        try:
            while True:
                last = self.stop.wait(POLL_S)
                for event in ray.get(self.board.take.remote()):
                    self._tell(event)
                if last:
                    return
        except BaseException as fault:
            self.fault = fault
            self.end()

    def _tell(self, event: Event | ControllerStarted) -> None:
        match event:
            case ControllerStarted():
                self.controller = event.controller
            case CheckpointRegistered():
                if self.saved:
                    self.saved(event.epoch, event.score, self.end)
            case _:
                self.show(event)

    def end(self) -> None:
        """End the run. Killed instead, the controller would leave its workers' place in the cluster taken."""
        if self.controller is not None:
            with suppress(RayActorError, GetTimeoutError):
                ray.get(self.controller.abort.remote(), timeout=END_S)

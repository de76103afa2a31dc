"""A training run that costs no time: its score is a known function of its settings, its files are a real run's."""

import time
from pathlib import Path

from fashion.storage import Store
from fashion.training.checkpoint import CHECKPOINT, NETWORK, checkpoint_name, checkpoints
from fashion.training.history import HISTORY
from fashion.training.settings import LossSettings, TrainSettings

BASE = TrainSettings(epochs=4, loss=LossSettings(name="triplet"))


class Table:
    """As much of an item table as a sweep of fake runs looks at."""

    fingerprint = "0123456789abcdef"

    def __init__(self, root):
        self.store = Store(root)


def score_at(settings: TrainSettings, epoch: int) -> float:
    """The nearer the margin is to 0.3 the better, and better with each epoch, from 1."""
    return round(epoch / 10 - abs(settings.loss.margin - 0.3), 6)


def row(settings: TrainSettings, epoch: int) -> dict:
    value = score_at(settings, epoch)
    return {"epoch": epoch - 1, "recall": {"1": value, "5": value}, "loss": 1 / epoch, "seconds": 1.0}


class FakeTraining:
    """Trains at once. Notes what it trained in `log`; margins in `broken` fail; waits for each `pause` seconds."""

    def __init__(self, log: Path, broken: tuple[float, ...] = (), pause: float = 0.0):
        self.log, self.broken, self.pause = log, broken, pause

    def __call__(self, settings, table, run, start, saved):
        history = run.read_json(HISTORY) if run.exists(HISTORY) else []
        if not history and start is not None:
            history = start.read_json(CHECKPOINT)["history"]
        for epoch in range(len(history) + 1, settings.epochs + 1):
            if settings.loss.margin in self.broken and epoch == 2:
                raise RuntimeError("the loss is not a number")
            time.sleep(self.pause)
            history = [*history, row(settings, epoch)]
            with self.log.open("a") as log:
                log.write(f"{run.parent()[1]} {epoch} {settings.loss.margin}\n")
            for old in checkpoints(run):
                run.delete_folder(checkpoint_name(old.epoch))
            run.write(f"{checkpoint_name(epoch - 1)}/{NETWORK}", b"")  # without one it is no checkpoint
            about = {"epoch": epoch - 1, "fingerprint": "f" * 16, "crop": "whole", "history": history}
            run.write_json(f"{checkpoint_name(epoch - 1)}/{CHECKPOINT}", about)
            run.write_json(HISTORY, history)
            saved(epoch, score_at(settings, epoch))

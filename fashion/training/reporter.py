"""What the first worker tells after each step and epoch, and the checkpoints that it writes beside the training."""

from typing import TYPE_CHECKING, Any

import ray
import ray.train
from ray.train import Checkpoint, CheckpointUploadMode

from fashion.causes import line_of
from fashion.training.background import Background
from fashion.training.checkpoint import checkpoint_name, put_checkpoint
from fashion.training.distributed import rank
from fashion.training.events import EpochDone, Event, StepDone, Trouble
from fashion.training.history import HISTORY, EpochRow, score
from fashion.training.job import Job
from fashion.training.snapshot import Snapshot
from fashion.training.step_checkpoints import write_step_checkpoint

if TYPE_CHECKING:
    from fashion.training.loop import Trainer


class Reporter:
    """Of a worker. All but the first have nothing to say: what they hold is what the first one holds."""

    def __init__(self, job: Job, trainer: "Trainer", board: Any):
        self.job, self.trainer, self.board, self.speaks = job, trainer, board, rank() == 0
        self.background = Background(job.settings.checkpoint, self._write, self._failed)
        self.posted: ray.ObjectRef | None = None
        self.asks = self.met = 0  # how often a checkpoint was asked for, and how many of these were begun

    def step(self, event: StepDone) -> None:
        """After a step: tell of it, and write a checkpoint where one is due, but after the run's last step."""
        if not self.speaks:
            return
        self.post(event)
        if event.epoch * self.job.plan.steps + event.step + 1 < self.job.settings.length * self.job.plan.steps:
            asked, self.met = self.asks > self.met, self.asks
            self.background.step(lambda: Snapshot.of(self.trainer), asked=asked)

    def post(self, event: Event) -> None:
        """Pin it up. Nothing here waits for the board: its answer to an earlier one is read, if it has come."""
        if not self.speaks:
            return
        earlier, self.posted = self.posted, self.board.post.remote(event)
        if earlier is not None and ray.wait([earlier], timeout=0)[0]:
            self.asks = ray.get(earlier)

    def epoch(self, row: EpochRow, save: bool) -> None:
        """After an epoch: tell of it, and write its checkpoint, which Ray Train has all workers report."""
        if not save:
            self.post(EpochDone(row=row))
        elif self.speaks:
            self.background.write(lambda: Snapshot.of(self.trainer), lambda snapshot: self._save(snapshot, row))
        else:
            self.background.write(lambda: None, lambda nothing: ray.train.report({"score": self._score(row)}))

    def _score(self, row: EpochRow) -> float:
        return score(row, self.job.settings.validation.metric)

    def _save(self, snapshot: Snapshot, row: EpochRow) -> None:
        run, name = self.job.run, checkpoint_name(row.epoch)
        put_checkpoint(run / name, lambda folder: snapshot.write(folder, self.job.record))
        ray.train.report(
            {"score": self._score(row), "epoch": row.epoch},
            checkpoint=Checkpoint(run.at(name), run.fs),
            checkpoint_dir_name=name,
            checkpoint_upload_mode=CheckpointUploadMode.NO_UPLOAD,
        )
        self.board.post.remote(EpochDone(row=row))  # last: an epoch that is not saved yet may come again
        run.write_value(HISTORY, snapshot.history)

    def end(self) -> None:
        """Wait until all is written. Raises what an epoch's checkpoint failed of."""
        self.background.wait()

    def _write(self, snapshot: Snapshot) -> None:
        write_step_checkpoint(self.job.run, lambda folder: snapshot.write(folder, self.job.record))
        self.board.answer.remote()

    def _failed(self, fault: Exception) -> None:
        self.board.post.remote(Trouble(line=f"note: a checkpoint could not be written ({line_of(fault)})"))
        self.board.answer.remote()

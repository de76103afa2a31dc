"""What a training run tells the process that started it."""

from dataclasses import dataclass

from fashion.training.history import EpochRow


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """A step, counted from 0 within its epoch, which is counted from 0 too."""

    epoch: int
    step: int
    loss: float | None  # None where it was not read from the GPU
    wait_s: float  # for the batch
    step_s: float  # of work on it
    images: int  # of the global batch

    @property
    def seconds(self) -> float:
        return self.wait_s + self.step_s


@dataclass(frozen=True, kw_only=True)
class EpochDone:
    """An epoch, and where it writes a checkpoint, that too."""

    row: EpochRow

    @property
    def epoch(self) -> int:
        return self.row.epoch


@dataclass(frozen=True, kw_only=True)
class CheckpointRegistered:
    """A checkpoint that the run can be resumed from."""

    epoch: int
    score: float  # by the validation metric


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What went wrong without ending the run."""

    line: str


Event = StepDone | EpochDone | CheckpointRegistered | Trouble

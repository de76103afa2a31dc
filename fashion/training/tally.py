"""What the steps of an epoch add up to, for its row of the history."""

import time

import torch

from fashion.losses import advice
from fashion.training.tasks import StepResult


class EpochTally:
    """Sums over the steps of an epoch so far. A checkpoint within the epoch holds them, so that its row is that of an
    unbroken run."""

    def __init__(self) -> None:
        self.steps = 0  # done
        self.images = 0  # of the global batches
        self.waited_s = 0.0  # for batches
        self.sums: dict[str, torch.Tensor] = {}  # loss and statistics
        self.tasks: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}  # unweighted sum and count
        self.began = time.perf_counter()

    def add(self, result: StepResult, *, images: int, waited_s: float) -> None:
        """Count a step."""
        for name, value in {"loss": result.loss.detach(), **result.statistics}.items():
            self.sums[name] = self.sums.get(name, 0) + value
        for name, part in result.sums.items():
            total, count = self.tasks.get(name, (0, 0))
            self.tasks[name] = total + part.total, count + part.count
        self.steps += 1
        self.images += images
        self.waited_s += waited_s

    def means(self) -> dict[str, float]:
        """The loss, the statistics, and the loss of each task."""
        means = {name: float(value) / self.steps for name, value in self.sums.items()}
        tasks = self.tasks.items()
        return means | {f"loss_{name}": float(total) / max(1.0, float(count)) for name, (total, count) in tasks}

    def figures(self) -> dict:
        """What the row says of images and time."""
        seconds = self.seconds
        return {
            "images": self.images, "seconds": seconds, "images_per_s": self.images / seconds,
            "data_wait_s": self.waited_s, "step_s": (seconds - self.waited_s) / self.steps,
            "advice": advice(self.means()),
        }  # fmt: skip

    @property
    def seconds(self) -> float:
        """Since the epoch began; the time between a fault and the run that goes on is not counted."""
        return time.perf_counter() - self.began

    def state(self) -> dict:
        """Tensors and plain values."""
        names = ("steps", "images", "waited_s", "seconds", "sums", "tasks")
        return {name: getattr(self, name) for name in names}

    @staticmethod
    def restored(state: dict, device: torch.device) -> "EpochTally":
        tally = EpochTally()
        tally.steps, tally.images, tally.waited_s = state["steps"], state["images"], state["waited_s"]
        tally.sums = {name: value.to(device) for name, value in state["sums"].items()}
        tally.tasks = {name: (total.to(device), count.to(device)) for name, (total, count) in state["tasks"].items()}
        tally.began -= state["seconds"]
        return tally

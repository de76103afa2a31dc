"""What a fashionnet learns at once: the weights of its tasks, epoch by epoch, and the one loss they make."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from fashion.errors import InputError
from fashion.losses.build import LossResult
from fashion.losses.labels import (
    TASKS,
    Balance,
    Labels,
    Sum,
    attribute_loss,
    category_loss,
    landmark_loss,
    visibility_loss,
)
from fashion.training.distributed import gather, world

EMBEDDING = "embedding"
POSE = ("landmarks", "visibility")


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """Weights of what a fashionnet learns (network.design fashionnet only). The paper gives no numbers."""

    embedding: float = 1.0
    """Weight of the loss on embeddings (section loss)."""
    landmarks: float = 10.0
    """Weight of the squared distance of visible landmarks, in picture sides."""
    visibility: float = 0.5
    """Weight of the cross-entropy of landmarks' visibility."""
    category: float = 0.5
    """Weight of the cross-entropy of categories."""
    attributes: float = 0.5
    """Weight of the weighted binary cross-entropy of attributes."""
    attribute_balance: Literal["none", "set", "attribute"] = "set"
    """Weights of an attribute's presence and absence: 1 (none), from the training set's ratio over all attributes (set),
    or each attribute's own (attribute)."""
    schedule: Literal["joint", "alternating"] = "joint"
    """All tasks at once (joint), or the paper's turns: landmarks and visibility first, then the rest, and so on."""
    pose_epochs: int = 1
    """alternating: epochs of a turn of landmarks and visibility."""
    rest_epochs: int = 1
    """alternating: epochs of a turn of embedding, category and attributes."""
    minor: float = 0.1
    """alternating: factor on the weights of the tasks whose turn it is not."""

    def __post_init__(self):
        for name in (EMBEDDING, *TASKS, "minor"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"tasks.{name}: found {getattr(self, name)}, expected a number from 0 on")
        if not any(getattr(self, name) for name in (EMBEDDING, *TASKS)):
            raise InputError("tasks: all weights are 0, so nothing would be learnt; give one of them more")
        for name, choices in {
            "attribute_balance": ("none", "set", "attribute"),
            "schedule": ("joint", "alternating"),
        }.items():
            if getattr(self, name) not in choices:
                raise InputError(f"tasks.{name}: found {getattr(self, name)!r}, expected one of {', '.join(choices)}")
        for name in ("pose_epochs", "rest_epochs"):
            if getattr(self, name) < 1:
                raise InputError(f"tasks.{name}: found {getattr(self, name)}, expected at least 1")

    def weights(self, epoch: int) -> dict[str, float]:
        """Task -> weight in this epoch, counted from 0."""
        weights = {name: float(getattr(self, name)) for name in (EMBEDDING, *TASKS)}
        if self.schedule == "alternating":
            pose = epoch % (self.pose_epochs + self.rest_epochs) < self.pose_epochs
            weights = {name: w * (1.0 if (name in POSE) == pose else self.minor) for name, w in weights.items()}
        return weights


@dataclass(frozen=True)
class Tasks:
    """What the joined loss needs beside estimates and truth."""

    settings: TaskSettings
    balance: Balance


@dataclass(frozen=True)
class StepResult:
    """Of the global batch: the loss, 0-d; statistics, name -> 0-d tensor; sums, task -> its unweighted sum and count."""

    loss: Tensor
    statistics: dict[str, Tensor]
    sums: dict[str, Sum] = field(default_factory=dict)


def join(
    metric: LossResult, found: dict[str, Tensor], truth: Labels, tasks: Tasks, epoch: int
) -> tuple[Tensor, StepResult]:
    """What to call backward on, and what to tell.

    `metric`: of the global batch, as `distributed` has it. `found`: the network's Outputs of this worker's pictures, by
    name, `truth` theirs. Each task's mean is over what is labelled in the global batch: the workers' sums are divided by
    the sum of their counts, and times their number, for DDP takes the mean of their gradients.
    """
    balance = tasks.balance
    own = {
        "landmarks": landmark_loss(found["landmarks_N82"], truth.landmarks_N83),
        "visibility": visibility_loss(found["visibility_N84"], truth.landmarks_N83),
        "category": category_loss(found["category_NC"], truth.category_N),
        "attributes": attribute_loss(found["attribute_NA"], truth.attributes_NA, truth.known_NA, balance),
    }
    numbers = torch.stack([torch.stack([s.total.detach(), s.count.to(s.total.dtype)]) for s in own.values()])
    everywhere = {name: Sum(*row) for name, row in zip(own, gather(numbers).sum(0), strict=True)}
    weights = tasks.settings.weights(epoch)
    loss = weights[EMBEDDING] * metric.loss
    told = loss.detach()
    for name, part in own.items():
        count = everywhere[name].count.clamp_min(1)
        loss = loss + weights[name] * world() * part.total / count
        told = told + weights[name] * everywhere[name].total / count
    statistics = metric.statistics | {f"loss_{EMBEDDING}": metric.loss.detach()}
    return loss, StepResult(told, statistics, everywhere)

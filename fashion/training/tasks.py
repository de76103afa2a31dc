"""What a fashionnet learns at once: the weights of its tasks, epoch by epoch, and the one loss they make."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from fashion.losses import LossResult
from fashion.losses.labels import (
    Balance,
    Labels,
    Sum,
    attribute_loss,
    category_loss,
    landmark_loss,
    visibility_loss,
)
from fashion.training.distributed import gather, world
from fashion.training.recipe import EMBEDDING, TaskSettings


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
    metric: LossResult, outputs: dict[str, Tensor], truth: Labels, tasks: Tasks, epoch: int
) -> tuple[Tensor, StepResult]:
    """What to call backward on, and what to tell.

    `metric`: of the global batch, as `distributed` has it. `outputs`: the network's Outputs of this worker's pictures, by
    name, `truth` theirs. Each task's mean is over what is labelled in the global batch: the workers' sums are divided by
    the sum of their counts, and times their number, for DDP takes the mean of their gradients.
    """
    balance = tasks.balance
    own = {
        "landmarks": landmark_loss(outputs["landmarks_N82"], truth.landmarks_N83),
        "visibility": visibility_loss(outputs["visibility_N84"], truth.landmarks_N83),
        "category": category_loss(outputs["category_NC"], truth.category_N),
        "attributes": attribute_loss(outputs["attribute_NA"], truth.attributes_NA, truth.known_NA, balance),
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

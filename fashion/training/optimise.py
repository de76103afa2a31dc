"""Optimiser and learning-rate schedule."""

import math
from dataclasses import dataclass

import torch

from fashion.errors import InputError
from fashion.networks.heads import new_parameters


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """AdamW with a linear warm-up and a cosine to zero."""

    learning_rate: float = 1e-3
    """Highest learning rate, for the whole global batch."""
    weight_decay: float = 1e-4
    """AdamW's decoupled decay; biases and normalisation weights are left out of it."""
    warmup_epochs: float = 1.0
    """Epochs in which the rate rises linearly from 0."""
    backbone_factor: float = 1.0
    """Factor on the rate of the backbone's layers, not of heads and other new ones. 0.1 is usual with pretrained
    weights."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 does not clip."""

    def __post_init__(self):
        for name in ("learning_rate", "backbone_factor"):
            if not getattr(self, name) > 0:
                raise InputError(f"optimizer.{name}: found {getattr(self, name)}, expected more than 0")
        for name in ("weight_decay", "warmup_epochs", "clip"):
            if not getattr(self, name) >= 0:
                raise InputError(f"optimizer.{name}: found {getattr(self, name)}, expected 0 or more")


def rate_at(step: int, *, total: int, warmup: float) -> float:
    """The fraction of the highest rate for optimiser step `step` (from 0) of `total`: warm-up, then cosine."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1.0, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def build_optimizer(network: torch.nn.Module, loss: torch.nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """Groups by decay and by layer; each keeps its own `factor` on the rate. A loss's parameters are not decayed."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    new = new_parameters(network)
    for parameter in network.parameters():
        factor = 1.0 if parameter in new else settings.backbone_factor
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    if parameters := list(loss.parameters()):
        groups.setdefault((1.0, 0.0), []).extend(parameters)
    return torch.optim.AdamW(
        [{"params": p, "factor": factor, "weight_decay": decay} for (factor, decay), p in groups.items()],
        lr=settings.learning_rate,
        fused=True,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]

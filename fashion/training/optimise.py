"""Optimiser and learning-rate schedule."""

import math

import torch

from fashion.networks.heads import new_parameters
from fashion.training.recipe import OptimizerSettings


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

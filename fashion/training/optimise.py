"""Optimiser: rates over the run and by depth, and what is frozen."""

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
    warmup: float = 0.05
    """Share of the run's steps in which the rate rises linearly from 0, 0 to 1."""
    backbone_factor: float = 1.0
    """Factor on the rate of the backbone's layers, not of heads and other new ones. 0.1 is usual with pretrained
    weights."""
    depth_decay: float = 1.0
    """Factor on the rate from each stage of the backbone to the one before it, from the head down, above 0 to 1: the
    layers at the input learn slowest. 1: all alike."""
    freeze_epochs: float = 0.0
    """Epochs, from the first on, in which only the new layers learn; the backbone stays as it was published and acts as
    in validation (its batch statistics too). May end within an epoch; needs network.pretrained."""
    freeze_stages: int | None = None
    """First stages of the backbone that stay as they were published through the whole run, and act as in validation:
    edges and colours are the same on garments, and half of a step goes into them. Needs network.pretrained. Default: 2
    where that names published weights, else 0."""
    average: float = 0.0
    """Decay a step of the moving average of the weights that is validated and kept, 0 to below 1, such as 0.99 for
    hundreds of steps and 0.9999 for a hundred thousand. The first steps count more: at step t the decay is at most
    (1 + t) / (10 + t). 0: the weights themselves."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 does not clip."""

    def __post_init__(self):
        for name in ("learning_rate", "backbone_factor"):
            if not getattr(self, name) > 0:
                raise InputError(f"optimizer.{name}: found {getattr(self, name)}, expected more than 0")
        for name in ("weight_decay", "freeze_epochs", "freeze_stages", "clip"):
            if not (getattr(self, name) or 0) >= 0:
                raise InputError(f"optimizer.{name}: found {getattr(self, name)}, expected 0 or more")
        if not 0 <= self.warmup <= 1:
            raise InputError(f"optimizer.warmup: found {self.warmup}, expected a share of the run's steps, 0 to 1")
        if not 0 < self.depth_decay <= 1:
            raise InputError(f"optimizer.depth_decay: found {self.depth_decay}, expected above 0 to 1")
        if not 0 <= self.average < 1:
            raise InputError(f"optimizer.average: found {self.average}, expected 0 (off) to below 1, such as 0.999")


def rate_at(step: int, *, total: int, warmup: float) -> float:
    """The fraction of the highest rate for optimiser step `step` (from 0) of `total`: warm-up, then cosine."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1.0, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def rate_factors(network: torch.nn.Module, settings: OptimizerSettings) -> dict[torch.nn.Parameter, float]:
    """The factor on the rate of each parameter that is trained, from the input side to the head."""
    from fashion.networks.model import parameter_depths  # here, so that settings are checked without networks

    new, depths = new_parameters(network), parameter_depths(network)
    return {
        parameter: settings.depth_decay ** (len(depths) - 1 - depth)
        * (1.0 if parameter in new else settings.backbone_factor)
        for depth, group in enumerate(depths)
        for parameter in group
        if parameter.requires_grad
    }


def build_optimizer(network: torch.nn.Module, loss: torch.nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """Groups by decay and by layer; each keeps its own `factor` on the rate. A loss's parameters are not decayed."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for parameter, factor in rate_factors(network, settings).items():
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


class Backbone:
    """The layers that published weights exist for, in stages from the input side on: what can be frozen."""

    def __init__(self, network: torch.nn.Module):
        self.stages = network.depths()  # modules of each depth
        self.trained = [
            [p for module in modules for p in module.parameters() if p.requires_grad] for modules in self.stages
        ]
        self.frozen = 0

    def freeze(self, stages: int) -> None:
        """The first so many stages are not trained: no gradient is computed for them, nor through them."""
        self.frozen = min(stages, len(self.stages))
        for depth, parameters in enumerate(self.trained):
            for parameter in parameters:
                parameter.requires_grad_(depth >= self.frozen)

    def settle(self) -> None:
        """After `network.train()`: frozen stages act as in validation, without dropout and by the statistics that their
        weights were trained with."""
        for modules in self.stages[: self.frozen]:
            for module in modules:
                module.eval()

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
        for name in ("weight_decay", "freeze_epochs", "clip"):
            if not getattr(self, name) >= 0:
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
    """The layers that published weights exist for: what can be frozen."""

    def __init__(self, network: torch.nn.Module):
        new = {module for top in network.modules() if getattr(top, "new", False) for module in top.modules()}
        learnt = new_parameters(network)
        self.modules = [module for module in network.modules() if module not in new]
        self.parameters = [p for p in network.parameters() if p.requires_grad and p not in learnt]
        self.frozen = False

    def freeze(self, frozen: bool) -> None:
        """Frozen, no gradient is computed for it, nor through it where nothing below is trained."""
        self.frozen = frozen
        for parameter in self.parameters:
            parameter.requires_grad_(not frozen)

    def settle(self) -> None:
        """After `network.train()`: a frozen backbone acts as in validation, without dropout and by the statistics that
        its weights were trained with."""
        if self.frozen:
            for module in self.modules:
                module.training = False

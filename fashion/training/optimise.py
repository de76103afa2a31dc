"""Optimiser: rates over the run and by depth, and what is frozen."""

import math
from typing import TYPE_CHECKING

import torch

from fashion.networks.heads import new_parameters
from fashion.training.recipe import OptimizerSettings

if TYPE_CHECKING:
    from fashion.networks.model import Network


def rate_at(step: int, *, total: int, warmup: float) -> float:
    """The fraction of the highest rate for optimiser step `step` (from 0) of `total`: warm-up, then cosine."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1.0, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def rate_factors(network: "Network", settings: OptimizerSettings) -> dict[torch.nn.Parameter, float]:
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


def build_optimizer(network: "Network", loss: torch.nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """Groups by decay and by layer; each keeps its own `factor` on the rate. A loss's parameters are not decayed."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for parameter, factor in rate_factors(network, settings).items():
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    if parameters := list(loss.parameters()):
        groups.setdefault((1.0, 0.0), []).extend(parameters)
    return torch.optim.AdamW(
        [{"params": p, "factor": factor, "weight_decay": decay} for (factor, decay), p in groups.items()],
        lr=0.0,  # set_rate sets it before each step
        fused=True,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


class Backbone:
    """The layers that published weights exist for, in stages from the input side on: what can be frozen."""

    def __init__(self, network: "Network"):
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

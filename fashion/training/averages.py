"""Networks made of other networks: the moving average of the weights, and what lies between two of them."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

from fashion.networks.heads import new_parameters

Kept = TypeVar("Kept", bound=nn.Module)


class Average(Generic[Kept]):
    """The exponential moving average of a network's weights and batch statistics, itself a network."""

    def __init__(self, network: Kept, decay: float):
        self.network: Kept = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights after a step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        own, theirs = _tensors(self.network), _tensors(network)
        smooth = [x.is_floating_point() for x in own]
        torch._foreach_lerp_(_of(own, smooth), _of(theirs, smooth), 1 - decay)
        for mine, new, is_smooth in zip(own, theirs, smooth, strict=True):
            if not is_smooth:  # a count of batches
                mine.copy_(new)


@torch.no_grad()
def between(start: nn.Module, tuned: Kept, share: float) -> Kept:
    """A network with start + share * (tuned - start) as its backbone, statistics too. New layers have no start worth the
    name, and are the tuned ones."""
    mixed = copy.deepcopy(tuned)
    new = {id(p) for p in new_parameters(mixed)}
    for own, first in zip(_tensors(mixed), _tensors(start), strict=True):
        if own.is_floating_point() and id(own) not in new:
            own.copy_(torch.lerp(first.to(own), own, share))
    return mixed


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]


def _of(tensors: list[torch.Tensor], chosen: list[bool]) -> list[torch.Tensor]:
    return [x for x, is_chosen in zip(tensors, chosen, strict=True) if is_chosen]

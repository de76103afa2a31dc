"""Gradient checkpointing: what lies within a stage is not kept for the backward pass, but computed again there."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def through(stages: list[nn.Module], x: torch.Tensor) -> torch.Tensor:
    """The stages' result with the same gradients and batch statistics as a plain pass has, in the memory of the largest
    stage and of what lies between them."""
    for stage in stages:
        x = checkpoint(stage, x, use_reentrant=False, context_fn=lambda s=stage: (nullcontext(), frozen_statistics(s)))
    return x


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Batch normalisation uses a batch's statistics but does not count them, for the batch comes by again."""
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    counts = [None if layer.num_batches_tracked is None else layer.num_batches_tracked.clone() for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum, count in zip(layers, momenta, counts, strict=True):
            layer.momentum = momentum
            if count is not None:
                layer.num_batches_tracked.copy_(count)

"""Gradient checkpointing: what lies within a stage is not kept for the backward pass, but computed again there."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def through(stages: list[nn.Module], x: torch.Tensor) -> torch.Tensor:
    """The stages' result with the same gradients and batch statistics as a plain pass has, in the memory of the largest
    stage and of what lies between them."""
    for stage in stages:
        x = checkpoint(stage, x, use_reentrant=False, context_fn=partial(_contexts, stage))
    return x


def _contexts(stage: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    """Of the first pass, and of the second."""
    return nullcontext(), frozen_statistics(stage)


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Batch normalisation uses a batch's statistics but does not count them, for the batch comes by again."""
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    counts = [(count, count.clone()) for layer in layers if (count := layer.num_batches_tracked) is not None]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for count, before in counts:
            count.copy_(before)

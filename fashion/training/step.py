"""One optimisation step on a global batch: augment, embed, gather over the workers, loss, gradients.

With gradient caching (Gao et al. 2021) a worker embeds its part in chunks without a graph, takes the loss's gradient
with respect to the embeddings, and embeds the chunks again, each with its part of that gradient: the gradient of the
plain step in the memory of one chunk.
"""

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fashion.losses import LossResult, MetricLoss
from fashion.networks.normalise import normalise
from fashion.seeds import seed_of
from fashion.training.augment import AugmentationSettings, augment, draw
from fashion.training.distributed import bare, gather, gather_with_gradient, world


@dataclass(frozen=True)
class Batch:
    """A worker's part, n pictures of a global batch of B."""

    images: Tensor  # (n, 3, S, S) uint8
    labels: Tensor  # (n,) int64
    domains: Tensor  # (n,) int64, 0 consumer and 1 shop
    pairs: Tensor | None  # (n,) int64, -1 without pair
    place: Tensor  # (n,) int64, place of each picture in the global batch


@dataclass(frozen=True)
class StepContext:
    """What a step needs besides the batch."""

    network: nn.Module  # maybe replicated
    loss: MetricLoss
    augmentation: AugmentationSettings
    chunk: int  # pictures at a time; 0: all
    autocast: bool  # bf16, on a GPU
    seed: int


def backward(context: StepContext, batch: Batch, *, epoch: int, step: int) -> LossResult:
    """Leave the gradients of the global batch's loss in the network's and the loss's parameters."""
    images = _prepare(context, batch, epoch, step)
    generator = torch.Generator().manual_seed(seed_of(context.seed, "mining", epoch, step))
    chunk = context.chunk
    if not chunk or chunk >= len(images):
        z, norms = _embed(context, images, batch.domains)
        result = _loss(context, z, norms, batch, generator)
        result.loss.backward()
        return result
    return _cached(context, images, batch, chunk, generator)


def _cached(context: StepContext, images: Tensor, batch: Batch, chunk: int, generator: torch.Generator) -> LossResult:
    parts = list(zip(images.split(chunk), batch.domains.split(chunk), strict=True))
    states = []
    with torch.no_grad(), _frozen_statistics(context.network):
        first = []
        for x, domains in parts:
            states.append(_random_state(x.device))
            first.append(_embed(context, x, domains, network=bare(context.network)))
    z = torch.cat([z for z, _ in first]).requires_grad_()
    result = _loss(context, z, torch.cat([norm for _, norm in first]), batch, generator)
    result.loss.backward()
    for i, ((x, domains), gradient) in enumerate(zip(parts, z.grad.split(chunk), strict=True)):
        # Workers exchange their gradients once, with the last chunk.
        last = i == len(parts) - 1 or context.network is bare(context.network)
        with (
            torch.random.fork_rng([x.device] if x.is_cuda else []),
            nullcontext() if last else context.network.no_sync(),
        ):
            _set_random_state(x.device, states[i])  # dropout draws what it drew in the first pass
            again, _ = _embed(context, x, domains)
            again.backward(gradient)
    return result


def _prepare(context: StepContext, batch: Batch, epoch: int, step: int) -> Tensor:
    # Drawn for the global batch and cut to this worker's part: the same whatever the number of workers.
    random = torch.Generator().manual_seed(seed_of(context.seed, "augmentation", epoch, step))
    draws = draw(len(batch.place) * world(), context.augmentation, random)
    images = normalise(augment(batch.images, draws.cut(batch.place.cpu())))
    return images.contiguous(memory_format=torch.channels_last)


def _embed(
    context: StepContext, images: Tensor, domains: Tensor, network: nn.Module | None = None
) -> tuple[Tensor, Tensor]:
    with torch.autocast(images.device.type, torch.bfloat16, enabled=context.autocast):
        return (network or context.network)(images, domains, with_norm=True)


def _loss(context: StepContext, z: Tensor, norms: Tensor, batch: Batch, generator: torch.Generator) -> LossResult:
    """The loss of the global batch, in its own order whatever the number of workers; the same on each of them."""
    order = torch.argsort(gather(batch.place).flatten())
    whole = lambda x: gather(x).flatten(0, 1)[order]  # noqa: E731
    return context.loss(
        gather_with_gradient(z).flatten(0, 1)[order],
        whole(batch.labels),
        whole(batch.domains),
        pairs_B=None if batch.pairs is None else whole(batch.pairs),
        norms_B=whole(norms.detach()),
        generator=generator,
    )


@contextmanager
def _frozen_statistics(network: nn.Module):
    """Batch normalisation uses a chunk's statistics but does not count them, for the chunk comes by again."""
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


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(device: torch.device, state: Tensor) -> None:
    torch.cuda.set_rng_state(state, device) if device.type == "cuda" else torch.set_rng_state(state)

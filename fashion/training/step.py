"""One optimisation step on a global batch: augment, embed, gather over the workers, loss, gradients.

With gradient caching (Gao et al. 2021) a worker embeds its part in chunks without a graph, takes the loss's gradient
with respect to the embeddings, and embeds the chunks again, each with its part of that gradient: the gradient of the
plain step in the memory of one chunk.
"""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fashion.losses import LossResult, MetricLoss
from fashion.losses.labels import Labels
from fashion.networks.recompute import frozen_statistics
from fashion.seeds import seed_of
from fashion.training.augment import Draws, augment, draw, move_landmarks
from fashion.training.distributed import bare, gather, gather_with_gradient, unsynchronised, world
from fashion.training.randomness import random_state, set_random_state
from fashion.training.recipe import AugmentationSettings
from fashion.training.tasks import StepResult, Tasks, join

Z, NORM = "z_ND", "norm_N"  # as Outputs names them


@dataclass(frozen=True)
class Labelled:
    """A worker's part of the pictures that join a step for their labels alone: m of M."""

    images: Tensor  # (m, 3, S, S) uint8
    domains: Tensor  # (m,) int64
    place: Tensor  # (m,) int64 on the CPU, place of each among the M


@dataclass(frozen=True)
class Batch:
    """A worker's part, n pictures of a global batch of B."""

    images: Tensor  # (n, 3, S, S) uint8
    labels: Tensor  # (n,) int64
    domains: Tensor  # (n,) int64, 0 consumer and 1 shop
    pairs: Tensor | None  # (n,) int64, -1 without pair
    place: Tensor  # (n,) int64 on the CPU, place of each picture in the global batch
    labelled: Labelled | None = None
    truth: Labels | None = None  # of the n pictures and the m after them

    @property
    def pictures(self) -> int:
        return len(self.images) + (len(self.labelled.images) if self.labelled else 0)


@dataclass(frozen=True)
class StepContext:
    """What a step needs besides the batch."""

    network: nn.Module  # maybe replicated
    loss: MetricLoss
    augmentation: AugmentationSettings
    chunk: int  # pictures at a time; 0: all
    autocast: bool  # the network computes in bf16
    seed: int
    tasks: Tasks | None = None  # for a network that predicts labels


@dataclass(frozen=True)
class Shown:
    """What the network is shown, augmented, and the truth about it."""

    images: Tensor
    domains: Tensor
    truth: Labels | None


def backward(context: StepContext, batch: Batch, *, epoch: int, step: int) -> StepResult:
    """Leave the gradients of the global batch's loss in the network's and the loss's parameters."""
    shown = prepare(context, batch, epoch, step)
    generator = torch.Generator().manual_seed(seed_of(context.seed, "mining", epoch, step))
    chunk = context.chunk
    if not chunk or chunk >= len(shown.images):
        outputs = _look(context, shown.images, shown.domains)
        loss, result = _loss(context, outputs, batch, shown.truth, generator, epoch)
        loss.backward()
        return result
    parts = list(zip(shown.images.split(chunk), shown.domains.split(chunk), strict=True))
    states, first = [], []
    with torch.no_grad(), frozen_statistics(context.network):
        for x, domains in parts:
            states.append(random_state(x.device))
            first.append(_look(context, x, domains, network=bare(context.network)))
    leaves = {name: torch.cat([part[name] for part in first]).requires_grad_() for name in first[0]}
    loss, result = _loss(context, leaves, batch, shown.truth, generator, epoch)
    loss.backward()
    _again(context, parts, states, {name: x.grad for name, x in leaves.items() if x.grad is not None and x.numel()})
    return result


def _again(context: StepContext, parts: list[tuple], states: list[Tensor], gradients: dict[str, Tensor]) -> None:
    """Show the network the parts once more, and take each one's share of the gradients through it."""
    ends = 0
    for i, (x, domains) in enumerate(parts):
        # Workers exchange their gradients once, with the last chunk.
        last = i == len(parts) - 1 or context.network is bare(context.network)
        begin, ends = ends, ends + len(x)
        with (
            torch.random.fork_rng([x.device] if x.is_cuda else []),
            nullcontext() if last else unsynchronised(context.network),
        ):
            set_random_state(x.device, states[i])  # dropout draws what it drew in the first pass
            outputs = _look(context, x, domains)
            torch.autograd.backward(
                [outputs[name] for name in gradients], [gradient[begin:ends] for gradient in gradients.values()]
            )


def prepare(context: StepContext, batch: Batch, epoch: int, step: int) -> Shown:
    """The batch as the network is shown it in this step."""
    draws = _draws(context, batch.place, "augmentation", epoch, step)
    images, domains, extra = augment(batch.images, draws), batch.domains, batch.labelled
    if extra is not None:
        more = _draws(context, extra.place, "augmentation of labelled", epoch, step)
        images, domains = torch.cat([images, augment(extra.images, more)]), torch.cat([domains, extra.domains])
        draws = draws.followed_by(more)
    truth = batch.truth and batch.truth.with_landmarks(move_landmarks(batch.truth.landmarks_N83, draws))
    return Shown(images.contiguous(memory_format=torch.channels_last), domains, truth)


def _draws(context: StepContext, place: Tensor, name: str, epoch: int, step: int) -> Draws:
    # Drawn for the global batch and cut to this worker's part: the same whatever the number of workers.
    random = torch.Generator().manual_seed(seed_of(context.seed, name, epoch, step))
    return draw(len(place) * world(), context.augmentation, random).cut(place)


def _look(context: StepContext, images: Tensor, domains: Tensor, network: nn.Module | None = None) -> dict[str, Tensor]:
    network = network or context.network
    return look(network, images, domains, autocast=context.autocast, tasks=context.tasks is not None)


def look(network: nn.Module, images: Tensor, domains: Tensor, *, autocast: bool, tasks: bool) -> dict[str, Tensor]:
    """The network's outputs by name: embeddings and their norms, and with tasks all the others."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=autocast):
        if tasks:
            return vars(network(images, domains, everything=True))
        return dict(zip((Z, NORM), network(images, domains, with_norm=True), strict=True))


def _loss(
    context: StepContext,
    outputs: dict[str, Tensor],
    batch: Batch,
    truth: Labels | None,
    generator: torch.Generator,
    epoch: int,
) -> tuple[Tensor, StepResult]:
    n = len(batch.images)  # the labelled pictures after these are in no triplet
    metric = _metric_loss(context, outputs[Z][:n], outputs[NORM][:n], batch, generator)
    if context.tasks is not None:
        assert truth is not None  # the feed gives it to a network that predicts labels
        return join(metric, outputs, truth, context.tasks, epoch)
    return metric.loss, StepResult(metric.loss.detach(), metric.statistics)


def _metric_loss(
    context: StepContext, z: Tensor, norms: Tensor, batch: Batch, generator: torch.Generator
) -> LossResult:
    """The loss of the global batch, in its own order whatever the number of workers; the same on each of them."""
    order = torch.argsort(gather(batch.place.to(z.device, non_blocking=True)).flatten())
    whole = lambda x: gather(x).flatten(0, 1)[order]  # noqa: E731
    return context.loss(
        gather_with_gradient(z).flatten(0, 1)[order],
        whole(batch.labels),
        whole(batch.domains),
        pairs_B=None if batch.pairs is None else whole(batch.pairs),
        norms_B=whole(norms.detach()),
        generator=generator,
    )

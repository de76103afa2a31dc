"""The global batch: W workers, or chunks, give the gradient of one worker on the whole batch."""

import pytest
import torch

from fashion.losses import LossSettings, build_loss
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.training.distributed import average_gradients, bare, gather_rows, rank, replicate, world
from fashion.training.recipe import AugmentationSettings
from fashion.training.step import Batch, StepContext, backward
from tests.training.group import in_group

P, K, SIZE = 8, 2, 16
WORKERS = 2
CHUNKED = 3  # so many of the losses are tried with gradient caching too

LOSSES = [
    LossSettings(),
    LossSettings(domains="any", memory=24, memory_warmup=1),
    *(LossSettings(name="triplet", mining=m) for m in ("random", "all", "hard", "semi-hard", "distance-weighted")),
    LossSettings(name="triplet", mining="random", domains="within"),
    LossSettings(direction="shop-to-consumer"),
    LossSettings(positives="pair"),
    *(
        LossSettings(name=n, domains="any")
        for n in (
            "soft-triplet",
            "improved-triplet",
            "margin",
            "centroid-triplet",
            "quadruplet",
            "infonce",
            "multi-similarity",
            "supervised-contrastive",
            "proxy-anchor",
            "normalised-softmax",
        )
    ),
]


class Plain(torch.nn.Module):
    """A network without batch normalisation, whose statistics would depend on the part of the batch."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(3 * 16, 8, generator=generator) * 0.2)

    def forward(self, images, domains, *, with_norm=False):
        v = torch.nn.functional.adaptive_avg_pool2d(images, 4).flatten(1) @ self.weight
        norm = v.norm(dim=1)
        z = v / norm.clamp_min(1e-12)[:, None]
        return (z, norm) if with_norm else z


def batch(step, *, slots, worker=0):
    """A worker's part of a fixed global batch: its slots of P items x K views."""
    generator = torch.Generator().manual_seed(step)
    images = torch.randint(0, 256, (P * K, 3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    labels = torch.arange(P).repeat_interleave(K) // 2  # two rows an item: several positives
    domains = torch.arange(P * K) % 2
    place = torch.arange(P * K).view(slots, -1)[worker]
    return Batch(images[place], labels[place], domains[place], labels[place], place)


def context(settings, chunk=0, network=None):
    loss = build_loss(settings, dimension=8, classes=P, seed=3)
    return StepContext(network or Plain(), loss, AugmentationSettings(), chunk, False, seed=5)


def train(context, slots=1, worker=0, steps=4):
    parameters = [*context.network.parameters(), *context.loss.parameters()]
    optimizer = torch.optim.SGD(parameters, 0.5)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        losses.append(
            float(backward(context, batch(step, slots=slots, worker=worker), epoch=0, step=step).loss.detach())
        )
        average_gradients(context.loss)
        optimizer.step()
    return losses, [p.detach().clone() for p in parameters]


def _worker(worker, workers, results):
    for i, settings in enumerate(LOSSES):
        for chunk in (0, 3) if i < CHUNKED else (0,):
            found = train(context(settings, chunk, replicate(Plain(), torch.device("cpu"))), workers, worker)
            if worker == 0:
                results[i, chunk] = found
    rows = gather_rows(torch.arange(rank() + 1) + 10 * rank())
    if worker == 0:
        results["rows"] = rows.tolist()


@pytest.fixture(scope="module")
def several_workers(tmp_path_factory):
    return in_group(WORKERS, tmp_path_factory.mktemp("gloo"), _worker)


@pytest.mark.parametrize("i", range(len(LOSSES)), ids=[f"{s.name}-{s.mining}-{s.domains}" for s in LOSSES])
def test_workers_equal_one_on_the_whole_batch(several_workers, i):
    losses, parameters = train(context(LOSSES[i]))
    assert max(losses) > 0 and len(set(losses)) > 1
    for chunk in (0, 3) if i < CHUNKED else (0,):
        their_losses, their_parameters = several_workers[i, chunk]
        assert their_losses == pytest.approx(losses, rel=1e-4, abs=1e-5)
        for mine, theirs in zip(parameters, their_parameters, strict=True):
            torch.testing.assert_close(theirs, mine, rtol=1e-3, atol=1e-4)


def test_workers_with_unequal_parts_gather_all_rows(several_workers):
    assert several_workers["rows"] == [0, 10, 11]
    assert world() == 1


@pytest.mark.parametrize("chunk", [1, 3, 8, 15])
def test_gradient_caching_equals_the_plain_step(chunk):
    for settings in LOSSES[:3]:
        losses, parameters = train(context(settings))
        again, theirs = train(context(settings, chunk))
        assert again == pytest.approx(losses, rel=1e-5)
        torch.testing.assert_close(theirs, parameters, rtol=1e-4, atol=1e-5)


def test_gradient_caching_counts_batch_statistics_once_and_repeats_dropout():
    """The oracle is a plain step over the same chunks with one graph: each chunk normalised by itself."""

    def network():
        net = build_network(NetworkSettings(name="embnet", size=SIZE, dimension=8), seed=1)
        return Dropped(net).train()

    cached, plain = network(), network()
    one = context(LossSettings(), 6, cached)
    torch.manual_seed(11)
    backward(one, batch(0, slots=1), epoch=0, step=0)

    class Chunked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = plain

        def forward(self, images, domains, *, with_norm):
            parts = [self.inner(x, d, with_norm=True) for x, d in zip(images.split(6), domains.split(6), strict=True)]
            return torch.cat([z for z, _ in parts]), torch.cat([n for _, n in parts])

    torch.manual_seed(11)
    backward(context(LossSettings(), 0, Chunked()), batch(0, slots=1), epoch=0, step=0)
    for (name, mine), theirs in zip(cached.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-5, msg=name)
    for (name, mine), theirs in zip(cached.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs, msg=name)


class Dropped(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images, domains, *, with_norm):
        return self.inner(torch.nn.functional.dropout(images, 0.3, self.training), domains, with_norm=with_norm)


def test_bare_is_the_network_itself():
    network = Plain()
    assert bare(network) is network

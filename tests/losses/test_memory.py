"""The cross-batch memory is a queue, is used after warm-up, and goes on exactly from a state dict."""

from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion.losses import LossSettings, build_loss
from fashion.losses.memory import CrossBatchMemory
from fashion.losses.relations import Identity

from .batches import MINED, SMOOTH, batch_of


def rows(z, what: Identity) -> list[tuple]:
    return sorted(zip(z[:, 0].tolist(), what.labels.tolist(), what.domains.tolist(), what.pairs.tolist(), strict=True))


@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 9), batches=st.lists(st.integers(1, 12), min_size=1, max_size=6), warmup=st.integers(0, 3))
def test_holds_what_a_queue_holds(size, batches, warmup):
    memory, queue, count = CrossBatchMemory(size, 2, warmup=warmup), deque(maxlen=size), 0
    for step, number in enumerate(batches):
        recalled = memory.recall(pairs=True)
        assert (recalled is None) == (step == 0 or step < warmup)
        if recalled is not None:
            assert rows(*recalled) == sorted(queue)
        ids = torch.arange(count, count + number) + 2**53
        z = torch.arange(count, count + number)[:, None].expand(-1, 2).float()
        memory.put(z, Identity(labels=ids, domains=ids % 2, pairs=ids * 2))
        queue.extend((float(i - 2**53), i, i % 2, i * 2) for i in ids.tolist())
        count += number
    assert len(memory) == len(queue)


def steps(loss, network, numbers) -> list[float]:
    """Plain gradient descent on the numbered batches; the losses."""
    values = []
    for number in numbers:
        batch = batch_of(4, 2, seed=number)
        result = loss(network(batch.z.detach().float()), *batch.what, pairs_B=batch.pairs)
        network.zero_grad()
        result.loss.backward()
        with torch.no_grad():
            network.weight -= 0.1 * network.weight.grad
        values.append(result.loss.item())
    return values


@pytest.mark.parametrize("positives", ["item", "pair"])
def test_a_resumed_run_is_exact(positives):
    s = LossSettings(memory=20, memory_warmup=2, positives=positives)
    torch.manual_seed(0)
    start = torch.nn.Linear(8, 8)
    networks = [torch.nn.Linear(8, 8) for _ in range(3)]
    losses = [build_loss(s, dimension=8, classes=4) for _ in range(3)]
    for network in networks[:2]:
        network.load_state_dict(start.state_dict())
    unbroken = steps(losses[0], networks[0], range(8))
    first = steps(losses[1], networks[1], range(4))
    networks[2].load_state_dict(networks[1].state_dict())
    losses[2].load_state_dict(losses[1].state_dict())
    assert first + steps(losses[2], networks[2], range(4, 8)) == unbroken
    assert torch.equal(networks[2].weight, networks[0].weight)


@pytest.mark.parametrize("name", MINED + SMOOTH)
def test_memory_is_more_references_without_gradient(name):
    """Equal to passing the batch and the earlier, detached batch as references."""
    with_memory = build_loss(
        LossSettings(name=name, mining="all" if name in MINED else None, memory=50), dimension=8, classes=8
    )
    without = build_loss(
        LossSettings(name=name, mining="all" if name in MINED else None), dimension=8, classes=8
    ).double()
    with_memory.double()
    old, new = batch_of(6, 2, seed=1), batch_of(6, 2, seed=2)
    with_memory(old.z, *old.what)
    found = with_memory(new.z, *new.what).loss
    expected = without(
        new.z,
        *new.what,
        ref_embeddings=torch.cat([new.z, old.z.detach()]),
        ref_labels=torch.cat([new.labels, old.labels]),
        ref_domains=torch.cat([new.domains, old.domains]),
        own_B=torch.arange(12),
    ).loss
    torch.testing.assert_close(found, expected)
    assert found.item() != pytest.approx(without(new.z, *new.what).loss.item())
    torch.testing.assert_close(torch.autograd.grad(found, new.z), torch.autograd.grad(expected, new.z))


def test_evaluation_neither_reads_nor_fills_it():
    loss, batch = build_loss(LossSettings(memory=50), dimension=8, classes=6), batch_of(6, 2)
    first = loss(batch.z, *batch.what).loss.item()
    loss.eval()
    assert loss(batch.z, *batch.what).loss.item() == first
    assert len(loss.memory) == 12

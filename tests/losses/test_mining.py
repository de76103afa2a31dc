"""Minings that draw: from the right images, with the right probabilities, from the seed alone."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion.losses.distances import DISTANCES
from fashion.losses.mining import distance_weighted_triplets, distance_weights, random_triplets
from fashion.losses.relations import Identity, Relations, relate

from .batches import MINED, batch_of, batches, loss_for, settings_for
from .oracle import Oracle


def relations_of(batch) -> Relations:
    who = Identity(labels=batch.labels, domains=batch.domains)
    return relate(who, who, own_A=torch.arange(len(batch.labels)))


def draw(batch, mining, seed):
    generator = torch.Generator().manual_seed(seed)
    d = DISTANCES["euclidean"].between(batch.z, batch.z).detach()
    if mining == "random":
        return random_triplets(relations_of(batch), generator)
    return distance_weighted_triplets(d, relations_of(batch), batch.z.shape[1], generator)


@pytest.mark.parametrize("mining", ["random", "distance-weighted"])
@settings(deadline=None, max_examples=30)
@given(batch=batches(), seed=st.integers(0, 1000))
def test_every_positive_pair_gets_one_of_its_anchors_negatives(mining, batch, seed):
    relations, chosen = relations_of(batch), draw(batch, mining, seed)
    pairs = list(zip(chosen.anchor.tolist(), chosen.positive.tolist(), strict=True))
    assert pairs == [tuple(pair) for pair in relations.positive_AR.nonzero().tolist()]
    assert relations.negative_AR[chosen.anchor, chosen.negative].all()


@pytest.mark.parametrize("mining", ["random", "distance-weighted"])
def test_the_seed_decides(mining):
    batch = batch_of(20, 4)
    same = [draw(batch, mining, 7).negative.tolist() for _ in range(2)]
    assert same[0] == same[1] != draw(batch, mining, 8).negative.tolist()


@settings(deadline=None, max_examples=30)
@given(batch=batches(), wide=st.integers(2, 128))
def test_distance_weights_equal_the_density_of_the_sphere(batch, wide):
    """Ratios of 1 / q(d), with q as in Wu et al. 2017, d cut off below 0.5; nothing beyond 1.4."""
    relations = relations_of(batch)
    d = torch.cdist(batch.z, batch.z).detach()
    weights = distance_weights(d, relations.negative_AR, wide)

    def log_q(x):
        x = max(float(x), 0.5)
        return (wide - 2) * math.log(x) + (wide - 3) / 2 * math.log(1 - x * x / 4)

    for a, row in enumerate(relations.negative_AR):
        negatives = row.nonzero().flatten().tolist()
        near = [n for n in negatives if d[a, n] <= 1.4]
        assert set(weights[a].nonzero().flatten().tolist()) <= set(near or negatives)
        if near:
            lowest = min(log_q(d[a, n]) for n in near)
            expected = [math.exp(lowest - log_q(d[a, n])) for n in near]
            torch.testing.assert_close(weights[a, near], torch.tensor(expected, dtype=torch.float64))
        else:
            assert (weights[a, negatives] == 1).all()


@pytest.mark.parametrize("mining", ["random", "distance-weighted"])
def test_frequencies_follow_the_weights(mining):
    """Of 20,000 draws, each negative's share is within 5 standard deviations of its weight."""
    views = 201  # one anchor of interest with 200 positives, and 6 negatives
    generator = torch.Generator().manual_seed(0)
    d = torch.rand(views + 6, views + 6, generator=generator, dtype=torch.float64) + 0.4
    labels = torch.cat([torch.zeros(views, dtype=torch.int64), torch.arange(1, 7)])
    who = Identity(labels=labels, domains=torch.zeros_like(labels))
    relations = relate(who, who, own_A=torch.arange(len(labels)))
    d[:views] = d[0]
    if mining == "random":
        chosen, weights = random_triplets(relations, generator), relations.negative_AR[0].double()
    else:
        chosen = distance_weighted_triplets(d, relations, 4, generator)
        weights = distance_weights(d, relations.negative_AR, 4)[0]
    share, n = weights / weights.sum(), len(chosen.negative)
    found = torch.bincount(chosen.negative, minlength=len(labels)) / n
    assert n == views * (views - 1)
    assert ((found - share).abs() <= 5 * (share * (1 - share) / n).sqrt() + 1e-12).all()


@pytest.mark.parametrize("mining", ["random", "distance-weighted"])
@pytest.mark.parametrize("name", ["triplet", "soft-triplet"])
def test_the_loss_of_drawn_triplets_equals_the_loop(name, mining):
    batch, options = batch_of(5, 4), {"domains": "any", "distance": "euclidean"}
    chosen = draw(batch, mining, 3)
    triplets = torch.stack([chosen.anchor, chosen.positive, chosen.negative], 1).tolist()
    s = settings_for(name, mining, **options)
    loss = loss_for(s, batch)(batch.z, *batch.what, generator=torch.Generator().manual_seed(3)).loss
    expected = getattr(Oracle(batch, s), name.replace("-", "_"))(triplets)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, batch.z), torch.autograd.grad(expected, batch.z))


@pytest.mark.parametrize("name", MINED)
@pytest.mark.parametrize("mining", ["random", "distance-weighted"])
def test_the_same_seed_gives_the_same_loss(name, mining):
    batch = batch_of(6, 4)
    loss = loss_for(settings_for(name, mining), batch)
    values = [
        loss(batch.z, *batch.what, generator=torch.Generator().manual_seed(seed)).loss.item() for seed in (1, 1, 2)
    ]
    assert values[0] == values[1]
    if name != "centroid-triplet" or mining == "random":
        assert values[0] != values[2]

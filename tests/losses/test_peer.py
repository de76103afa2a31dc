"""Values and gradients equal pytorch-metric-learning's where it has the same loss."""

import pytest
import torch
from pytorch_metric_learning import distances, losses, miners, reducers

from fashion.losses import build_loss
from fashion.losses.memory import CrossBatchMemory
from fashion.losses.relations import CONSUMER, SHOP, Identity

from .batches import batch_of, loss_for, settings_for

SQUARED = distances.LpDistance(normalize_embeddings=False, p=2, power=2)
EUCLIDEAN = distances.LpDistance(normalize_embeddings=False, p=2)
COSINE = distances.CosineSimilarity()
SEMI_HARD = miners.TripletMarginMiner(0.2, "semihard", distance=SQUARED)
MEAN = reducers.MeanReducer()

# Name, mining and settings of ours; loss and miner of the peer.
PAIRWISE = {
    "all": (("triplet", "all"), {"margin": 0.2}, losses.TripletMarginLoss(0.2, distance=SQUARED), None),
    "cosine": (("triplet", "all"), {"distance": "cosine"}, losses.TripletMarginLoss(0.2, distance=COSINE), None),
    "mean over all": (
        ("triplet", "all"), {"reduction": "all"}, losses.TripletMarginLoss(0.2, distance=SQUARED, reducer=MEAN), None,
    ),
    "semi-hard": (("triplet", "semi-hard"), {}, losses.TripletMarginLoss(0.2, distance=SQUARED), SEMI_HARD),
    "hard": (
        ("triplet", "hard"), {"margin": 0.4}, losses.TripletMarginLoss(0.4, distance=SQUARED),
        miners.BatchHardMiner(distance=SQUARED),
    ),
    "soft": (
        ("soft-triplet", "all"), {}, losses.TripletMarginLoss(0.0, smooth_loss=True, distance=EUCLIDEAN), None,
    ),
    "soft hard": (
        ("soft-triplet", "hard"), {"margin": 0.1}, losses.TripletMarginLoss(0.1, smooth_loss=True, distance=EUCLIDEAN),
        miners.BatchHardMiner(distance=EUCLIDEAN),
    ),
    "margin": (("margin", "all"), {}, losses.MarginLoss(0.2, beta=1.2, distance=EUCLIDEAN), None),
    "multi-similarity": (("multi-similarity", None), {}, losses.MultiSimilarityLoss(2, 50, 0.5), None),
    "supervised contrastive": (("supervised-contrastive", None), {}, losses.SupConLoss(0.1), None),
    "InfoNCE": (("infonce", None), {}, losses.NTXentLoss(0.1), None),
    "tuplet without margin": (("tuplet", None), {"margin": 0.0, "temperature": 0.2}, losses.NTXentLoss(0.2), None),
}  # fmt: skip


def same(found, expected, *leaves):
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
    theirs, ours = (torch.autograd.grad(loss, leaves, retain_graph=True) for loss in (expected, found))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("views", [2, 6])
@pytest.mark.parametrize("what", PAIRWISE)
def test_pairwise_losses(what, views):
    (name, mining), options, peer, miner = PAIRWISE[what]
    batch = batch_of(48 // views, views)
    found = loss_for(settings_for(name, mining, domains="any", **options), batch)(batch.z, *batch.what).loss
    chosen = miner(batch.z, batch.labels) if miner else None
    same(found, peer(batch.z, batch.labels, chosen), batch.z)


@pytest.mark.parametrize("direction", ["consumer-to-shop", "shop-to-consumer"])
@pytest.mark.parametrize("what", PAIRWISE)
def test_across_domains_is_the_peer_with_the_other_domain_as_references(what, direction):
    (name, mining), options, peer, miner = PAIRWISE[what]
    batch = batch_of(12, 4)
    s = settings_for(name, mining, domains="cross", direction=direction, **options)
    found = loss_for(s, batch)(batch.z, *batch.what).loss
    anchors = batch.domains == (CONSUMER if direction == "consumer-to-shop" else SHOP)
    one, other = (batch.z[anchors], batch.labels[anchors]), (batch.z[~anchors], batch.labels[~anchors])
    chosen = miner(*one, *other) if miner else None
    same(found, peer(*one, chosen, *other), batch.z)


def test_the_margin_losss_boundary_learns_alike():
    batch = batch_of(8, 4)
    ours = build_loss(settings_for("margin", "all", domains="any"), dimension=8, classes=8).double()
    peer = losses.MarginLoss(0.2, beta=1.2, learn_beta=True, distance=EUCLIDEAN)
    loss = ours(batch.z, *batch.what).loss
    (found,) = torch.autograd.grad(loss, ours.formula.boundary)
    (expected,) = torch.autograd.grad(peer(batch.z, batch.labels), peer.beta)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("name", ["proxy-anchor", "normalised-softmax"])
@pytest.mark.parametrize("classes", [6, 9])
def test_proxy_losses(name, classes):
    batch = batch_of(6, 3)
    ours = build_loss(settings_for(name), dimension=8, classes=classes).double()
    proxies = ours.formula.proxies.detach()
    if name == "proxy-anchor":
        peer = losses.ProxyAnchorLoss(classes, 8, margin=0.1, alpha=32).double()
        peer.proxies.data = proxies.clone()
        weights, theirs = ours.formula.proxies, peer.proxies
    else:
        peer = losses.NormalizedSoftmaxLoss(classes, 8, temperature=0.05).double()
        peer.W.data = proxies.T.clone()
        weights, theirs = ours.formula.proxies, peer.W
    found, expected = ours(batch.z, *batch.what).loss, peer(batch.z, batch.labels)
    same(found, expected, batch.z)
    (gradient,), (wanted,) = torch.autograd.grad(found, weights), torch.autograd.grad(expected, theirs)
    torch.testing.assert_close(gradient, wanted if name == "proxy-anchor" else wanted.T)


@pytest.mark.parametrize("what", ["all", "InfoNCE", "supervised contrastive"])
def test_memory_gives_the_peers_loss_at_every_step(what):
    """The peer compares with the queue after the batch was put into it, so the batch's places are passed as its own."""
    (name, mining), options, peer, _ = PAIRWISE[what]
    ours = build_loss(settings_for(name, mining, domains="any", **options), dimension=8, classes=6).double()
    queue, theirs = CrossBatchMemory(30, 8).double(), losses.CrossBatchMemory(peer, 8, memory_size=30)
    for step in range(6):
        batch = batch_of(6, 2, seed=step)
        place = (queue.seen + torch.arange(12)) % 30
        queue.put(batch.z, Identity(labels=batch.labels, domains=batch.domains))
        z_RD, past = queue.recall(pairs=False)
        found = ours(
            batch.z, *batch.what, ref_embeddings=z_RD, ref_labels=past.labels, ref_domains=past.domains, own_B=place
        ).loss
        same(found, theirs(batch.z, batch.labels), batch.z)

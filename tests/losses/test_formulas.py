"""Every loss equals a loop over its triplets, in value and gradient, on any batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from .batches import DOMAIN_MODES, MINED, SMOOTH, Batch, batch_of, batches, loss_for, settings_for
from .oracle import Oracle

CERTAIN = [(name, mining) for name in MINED for mining in ("all", "hard", "semi-hard")] + [(n, None) for n in SMOOTH]


def agree(loss_settings, batch: Batch) -> None:
    result = loss_for(loss_settings, batch)(batch.z, *batch.what, pairs_B=batch.pairs)
    expected = Oracle(batch, loss_settings).value()
    torch.testing.assert_close(result.loss, expected, rtol=1e-9, atol=1e-11)
    (gradient,) = torch.autograd.grad(result.loss, batch.z)
    (expected_gradient,) = torch.autograd.grad(expected, batch.z)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("name", "mining"), CERTAIN)
@settings(deadline=None, max_examples=12)
@given(batch=batches(), mode=st.sampled_from(DOMAIN_MODES), positives=st.sampled_from(["item", "pair"]))
def test_equals_the_loop(name, mining, batch, mode, positives):
    agree(settings_for(name, mining, domains=mode[0], direction=mode[1], positives=positives), batch)


@pytest.mark.parametrize("name", ["triplet", "soft-triplet", "margin"])
@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared-euclidean"])
@settings(deadline=None, max_examples=8)
@given(batch=batches(), reduction=st.sampled_from(["active", "all"]), fallback=st.booleans())
def test_equals_the_loop_for_each_distance_reduction_and_fallback(name, distance, batch, reduction, fallback):
    options = {"distance": distance, "reduction": reduction, "fallback": fallback, "margin": 0.3, "domains": "any"}
    agree(settings_for(name, "semi-hard", **options), batch)
    agree(settings_for(name, "all", **{**options, "fallback": False}), batch)


@pytest.mark.parametrize("name", ["improved-triplet", "quadruplet", "centroid-triplet"])
def test_equals_the_loop_on_a_regular_batch(name):
    """Larger than what hypothesis draws, so that third items and several positives are certain to occur."""
    for domains in ("any", "cross"):
        for mining in ("all", "hard", "semi-hard"):
            agree(settings_for(name, mining, domains=domains), batch_of(4, 4))


@pytest.mark.parametrize("name", [*SMOOTH, "soft-triplet"])
def test_gradients_of_smooth_losses_are_those_of_finite_differences(name):
    batch = batch_of(3, 3, dimension=3)
    loss = loss_for(settings_for(name, domains="any"), batch)
    torch.autograd.gradcheck(lambda z: loss(z, *batch.what).loss, batch.z)


def test_soft_triplets_scale_with_the_incoming_gradient():
    batch = batch_of(3, 2)
    loss = loss_for(settings_for("soft-triplet", domains="any"), batch)(batch.z, *batch.what).loss
    (single,) = torch.autograd.grad(loss, batch.z, retain_graph=True)
    (triple,) = torch.autograd.grad(3 * loss, batch.z)
    torch.testing.assert_close(triple, 3 * single)

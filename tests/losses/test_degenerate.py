"""Batches that teach nothing give zero loss with zero gradient; half precision and huge batches change nothing else."""

import warnings

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fashion.losses import LossSettings, build_loss

from .batches import EVERY_FORMULA, batch_of, loss_for, settings_for

USELESS = {
    "one item": lambda labels, domains: (torch.zeros_like(labels), domains),
    "every image another item": lambda labels, domains: (torch.arange(len(labels)), domains),
    "one domain": lambda labels, domains: (labels, torch.ones_like(domains)),
    "each item in one domain": lambda labels, domains: (labels, labels % 2),
}


@pytest.mark.parametrize("what", USELESS)
@pytest.mark.parametrize(("name", "mining"), EVERY_FORMULA)
def test_zero_loss_and_zero_gradient(name, mining, what):
    batch = batch_of(4, 2)
    result = loss_for(settings_for(name, mining, domains="cross"), batch)(batch.z, *USELESS[what](*batch.what))
    assert result.loss.item() == 0
    (gradient,) = torch.autograd.grad(result.loss, batch.z)
    assert (gradient == 0).all()
    assert all(value.isfinite() for value in result.statistics.values())
    assert result.statistics["anchors"] == 0


@pytest.mark.parametrize(("name", "mining"), EVERY_FORMULA)
def test_anchors_without_positives_change_nothing_but_negatives(name, mining):
    """A batch of an only image and a whole item: the only image is a negative, never an anchor."""
    batch = batch_of(2, 2)
    z, labels = batch.z[:3].detach().requires_grad_(), batch.labels[:3]
    result = loss_for(settings_for(name, mining, domains="any"), batch)(z, labels, torch.zeros_like(labels))
    assert result.statistics["anchors"].item() == pytest.approx(2 / 3)
    (gradient,) = torch.autograd.grad(result.loss, z)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(("name", "mining"), EVERY_FORMULA)
@pytest.mark.parametrize("embedding", ["all equal", "all zero"])
def test_collapsed_embeddings_give_finite_gradients(name, mining, embedding):
    batch = batch_of(4, 2)
    z = (batch.z.detach()[:1].expand_as(batch.z) if embedding == "all equal" else 0 * batch.z.detach()).float()
    z = z.clone().requires_grad_()
    result = build_loss(settings_for(name, mining, domains="any"), dimension=8, classes=4)(z, *batch.what)
    (gradient,) = torch.autograd.grad(result.loss, z)
    assert result.loss.isfinite() and gradient.isfinite().all()


@pytest.mark.parametrize(("name", "mining"), EVERY_FORMULA)
def test_autocast_and_half_precision_compute_in_float32(name, mining):
    """Under bf16 autocast: exactly the float32 loss of the same (rounded) embeddings."""
    batch = batch_of(6, 4)
    loss = build_loss(settings_for(name, mining), dimension=8, classes=6)
    half = batch.z.detach().bfloat16().requires_grad_()
    whole = half.detach().float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(half, *batch.what, generator=torch.Generator().manual_seed(0)).loss
    expected = loss(whole, *batch.what, generator=torch.Generator().manual_seed(0)).loss
    assert found.dtype == torch.float32 and found.item() == expected.item()
    gradients = torch.autograd.grad(found, half)[0], torch.autograd.grad(expected, whole)[0]
    assert torch.equal(gradients[0], gradients[1].bfloat16())


class _Largest(TorchDispatchMode):
    """The number of elements in the largest tensor that any operation made, in forward and backward."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("views", [2, 12])
@pytest.mark.parametrize(("name", "mining"), EVERY_FORMULA)
def test_nothing_larger_than_anchors_times_references_is_ever_made(name, mining, views):
    batch = batch_of(96 // views, views, dimension=4)
    loss = loss_for(settings_for(name, mining, domains="any"), batch)
    with _Largest() as largest:
        loss(batch.z, *batch.what).loss.backward()
    # A list of index pairs has two numbers a pair; a histogram one bin more than positives.
    assert largest.elements <= 2 * 96 * 96


@pytest.mark.parametrize(("name", "mining"), [f for f in EVERY_FORMULA if f[1] not in ("random", "distance-weighted")])
def test_the_batch_as_its_own_references_is_the_batch(name, mining):
    batch = batch_of(6, 4)
    loss = loss_for(settings_for(name, mining), batch)
    alone = loss(batch.z, *batch.what).loss
    labels, domains = batch.what
    own = torch.arange(len(labels))
    apart = loss(batch.z, *batch.what, ref_embeddings=batch.z, ref_labels=labels, ref_domains=domains, own_B=own).loss
    torch.testing.assert_close(alone, apart)
    torch.testing.assert_close(torch.autograd.grad(alone, batch.z), torch.autograd.grad(apart, batch.z))


def test_domains_that_are_all_equal_are_said_where_only_others_are_compared():
    z_BD, labels_B = torch.nn.functional.normalize(torch.randn(4, 8)), torch.tensor([0, 0, 1, 1])
    one, both = torch.zeros(4, dtype=torch.int64), torch.tensor([0, 1, 0, 1])
    loss = build_loss(LossSettings(name="triplet", domains="cross"), dimension=8, classes=2)
    with pytest.warns(UserWarning, match=r"^loss\.domains is cross and all images .* are of one domain"):
        assert loss(z_BD, labels_B, one).loss == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(z_BD, labels_B, one)  # said once
        build_loss(LossSettings(name="triplet", domains="cross"), dimension=8, classes=2)(z_BD, labels_B, both)
        build_loss(LossSettings(name="triplet", domains="any"), dimension=8, classes=2)(z_BD, labels_B, one)


def test_references_come_with_what_they_show():
    batch = batch_of(2, 2)
    loss = loss_for(LossSettings(), batch)
    with pytest.raises(ValueError, match="ref_labels"):
        loss(batch.z, *batch.what, ref_embeddings=batch.z)

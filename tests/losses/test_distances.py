"""Distances equal their formulas and are safe where pictures coincide."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion.losses.distances import DISTANCES, unit

FORMULAS = {
    "cosine": lambda x, y: 1 - (x * y).sum() / (x.norm() * y.norm()),
    "euclidean": lambda x, y: ((x - y) ** 2).sum().sqrt(),
    "squared-euclidean": lambda x, y: ((x - y) ** 2).sum(),
}


@pytest.mark.parametrize("name", DISTANCES)
@settings(deadline=None, max_examples=20)
@given(a=st.integers(1, 4), r=st.integers(1, 4), dimension=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_equals_the_formula(name, a, r, dimension, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(a, dimension, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.randn(r, dimension, generator=generator, dtype=torch.float64, requires_grad=True)
    found = DISTANCES[name].between(x, y)
    expected = torch.stack([torch.stack([FORMULAS[name](u, v) for v in y]) for u in x])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    weights = torch.randn(a, r, generator=generator, dtype=torch.float64)
    gradients = torch.autograd.grad((found * weights).sum(), (x, y))
    torch.testing.assert_close(gradients, torch.autograd.grad((expected * weights).sum(), (x, y)))


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_and_zero_embeddings_have_distance_and_gradient_without_nan(name, dtype):
    z = torch.randn(40, 128, dtype=dtype, generator=torch.Generator().manual_seed(0))
    z = torch.cat([unit(z), unit(z), torch.zeros(2, 128, dtype=dtype)]).requires_grad_()
    d = DISTANCES[name].between(z, z)
    same = d[:40, 40:80].diagonal()
    torch.testing.assert_close(same, torch.zeros_like(same), rtol=0, atol=8 * torch.finfo(dtype).eps)
    (gradient,) = torch.autograd.grad(d.sum(), z)
    assert gradient.isfinite().all() and gradient.abs().max() < 1e3
    (gradient,) = torch.autograd.grad(DISTANCES[name].between(z, z)[:40, 40:80].diagonal().sum(), z)
    assert gradient.abs().max() < 1e-5


@pytest.mark.parametrize("name", DISTANCES)
def test_translates_to_euclidean_at_unit_length(name):
    z = unit(torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    found = DISTANCES[name].to_euclidean(DISTANCES[name].between(z[:10], z[10:]))
    torch.testing.assert_close(found, torch.cdist(z[:10], z[10:]))


def test_leading_dimensions_are_separate_batches():
    x, y = torch.randn(3, 4, 5), torch.randn(3, 2, 5)
    for distance in DISTANCES.values():
        expected = torch.stack([distance.between(u, v) for u, v in zip(x, y, strict=True)])
        torch.testing.assert_close(distance.between(x, y), expected)

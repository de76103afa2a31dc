"""Pooling round landmarks, against loops; and where its gradient goes, and where it does not."""

import pytest
import torch

from fashion.networks.landmark_pooling import pool_round


def cells(point, size, window):
    """The cells of the window round a point that lie in the map, row by row."""
    H, W = size
    column, row = (min(max(int(torch.floor(v * n)), 0), n - 1) for v, n in zip(point, (W, H), strict=True))
    reach = window // 2
    return [
        (i, j)
        for i in range(max(0, row - reach), min(H, row + reach + 1))
        for j in range(max(0, column - reach), min(W, column + reach + 1))
    ]


def given(seed=0, N=3, C=4, H=5, W=6, L=8):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(N, C, H, W, generator=generator, dtype=torch.float64)
    points = torch.rand(N, L, 2, generator=generator, dtype=torch.float64) * 1.6 - 0.3  # some outside
    points[0, :4] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [-5.0, 0.5], [0.5, 9.0]])
    return x, points


@pytest.mark.parametrize("window", [1, 3, 5, 11])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_the_maximum_of_the_cells_of_the_window_that_lie_in_the_map(window, layout):
    x, points = given()
    found = pool_round(x.contiguous(memory_format=layout), points, window)
    assert found.shape == (3, 8, 4)
    for n in range(3):
        for k in range(8):
            inside = cells(points[n, k], (5, 6), window)
            expected = torch.stack([x[n, :, i, j] for i, j in inside]).amax(0)
            assert torch.equal(found[n, k], expected), (n, k)


@pytest.mark.parametrize("window", [1, 3, 5])
def test_the_gradient_goes_to_the_maximum_in_the_window_and_nowhere_else(window):
    x, points = given(seed=1)
    x.requires_grad_()
    points.requires_grad_()
    weight = torch.rand(3, 8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) + 0.5
    (pool_round(x, points, window) * weight).sum().backward()
    expected = torch.zeros_like(x)
    for n in range(3):
        for k in range(8):
            for c in range(4):
                best = max(cells(points[n, k], (5, 6), window), key=lambda at: float(x[n, c, *at].detach()))
                expected[n, c, *best] += weight[n, k, c]
    torch.testing.assert_close(x.grad, expected)
    assert points.grad is None  # no path to a position at all
    assert (expected == 0).any()


def test_equal_values_give_the_gradient_to_one_of_them():
    x = torch.zeros(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    pool_round(x, torch.tensor([[[0.0, 0.0], [0.5, 0.5]]]).double(), 3).sum().backward()
    assert sorted(x.grad[x.grad > 0].tolist()) in ([1.0, 1.0], [2.0]) and x.grad.sum() == 2


def test_the_gradient_is_the_numerical_one():
    x, points = given(seed=3, N=2, C=2, H=4, W=4)
    assert torch.autograd.gradcheck(lambda x: pool_round(x, points, 3), (x.requires_grad_(),))

import pytest
import torch
import torch.nn.functional as F

from fashion.networks.embnet import EmbNet
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings


@pytest.mark.parametrize("size", [64, 128, 50])
def test_is_the_published_sequence_of_layers(size):
    network = EmbNet().double().train()
    x = torch.randn(4, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = network(x)

    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [tuple(c.weight.shape) for c in convolutions] == [(64, 3, 4, 4), (64, 64, 3, 3), (128, 64, 3, 3)]
    for c, padding in zip(convolutions, (2, 1, 1), strict=True):
        x = F.max_pool2d(F.relu(F.conv2d(x, c.weight, c.bias, padding=padding)), 2)
        x = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    side = size // 8
    assert x.shape[2:] == (side, side)
    torch.testing.assert_close(found, F.adaptive_avg_pool2d(x, 4).flatten(1))


def test_width_multiplies_the_channels():
    network = build_network(NetworkSettings(name="embnet", width=0.25, dimension=8), seed=0)
    assert [m.out_channels for m in network.modules() if isinstance(m, torch.nn.Conv2d)] == [16, 16, 32]


def test_tells_where_in_the_picture_a_thing_is():
    # A garment's neckline and hem must not be interchangeable, which they would be after global pooling.
    network = build_network(NetworkSettings(name="embnet"), seed=0).eval()
    picture = torch.zeros(1, 3, 64, 64)
    picture[:, :, :16] = 255
    z = network(torch.cat([picture, picture.roll(48, dims=2)]))
    assert z[0] @ z[1] < 0.9

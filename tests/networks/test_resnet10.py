import pytest
import torch
import torch.nn.functional as F

from fashion.networks.model import build_network
from fashion.networks.resnet10 import ResNet10
from fashion.networks.settings import NetworkSettings


def normalised(x):
    return (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()


@pytest.mark.parametrize("size", [64, 50, 33, 16])
def test_is_a_halving_stem_four_residual_blocks_and_the_average(size):
    network = ResNet10().double().train()
    x = torch.randn(4, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = network(x)

    weights = iter([m.weight for m in network.modules() if isinstance(m, torch.nn.Conv2d)])
    x = F.relu(normalised(F.conv2d(x, next(weights), stride=2, padding=1)))
    for channels in (32, 64, 128, 256):
        halve = channels > 32
        first, second = next(weights), next(weights)
        assert first.shape[0] == second.shape[0] == channels
        y = F.relu(normalised(F.conv2d(x, first, stride=1 + halve, padding=1)))
        y = normalised(F.conv2d(y, second, padding=1))
        if halve:
            mean = F.avg_pool2d(F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), mode="replicate"), 2)
            if x.shape[2] % 2:  # at the edge the mean is of what is there
                mean[:, :, -1, :-1] = x[:, :, -1, :-1].reshape(*x.shape[:2], -1, 2).mean(3)
                mean[:, :, :-1, -1] = x[:, :, :-1, -1].reshape(*x.shape[:2], -1, 2).mean(3)
            x = normalised(F.conv2d(mean, next(weights)))
        x = F.relu(x + y)
    assert next(weights, None) is None
    torch.testing.assert_close(found, x.mean((2, 3)))


def test_width_multiplies_the_channels_and_branches_part_between_its_stages():
    settings = NetworkSettings(name="resnet10", width=0.25, dimension=8, branches="dual", shared_stages=2, size=32)
    network = build_network(settings, seed=0)
    assert [len(network.shared), *map(len, network.branches)] == [2, 4, 4]  # three stages more, and the head
    assert network.branches[0][-2][0].body[0].out_channels == 64
    assert sum(p.numel() for p in ResNet10().parameters()) < 1_300_000

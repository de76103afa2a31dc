"""Drop path and gradient checkpointing."""

import copy

import pytest
import torch

from fashion.errors import InputError
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings

NETWORKS = {
    "embnet": {"name": "embnet", "width": 0.25, "head": "bnneck"},
    "dual": {"name": "embnet", "width": 0.25, "branches": "dual", "head": "bnneck"},
    "fashionnet": {"name": "embnet", "width": 0.25, "design": "fashionnet", "hidden": 8},
    "efficientnet with drop path": {"name": "timm:tf_efficientnet_lite0", "drop_path": 0.5},
    "vit with drop path": {"name": "timm:vit_tiny_patch16_224", "drop_path": 0.5},
    "no stages": {"name": "timm:xcit_nano_12_p16_224"},
    "torchvision": {"name": "resnet18"},
}


def pictures(count=6):
    return 255 * torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1] * 3)


@pytest.mark.parametrize("name", NETWORKS)
def test_checkpointing_changes_neither_gradients_nor_statistics(name):
    plain = build_network(NetworkSettings(size=32, dimension=8, **NETWORKS[name]), seed=0)
    saving = copy.deepcopy(plain)
    saving.checkpointing = True
    kept = []
    for network in (plain, saving):
        with (
            torch.random.fork_rng(),
            torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x),
        ):
            torch.manual_seed(1)
            z = network(*pictures())
            z.square()[:, 0].sum().backward()
        kept.append(None)
    count = kept.index(None)
    assert name == "no stages" or len(kept) - count - 2 < count  # it is really in use
    for one, other in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-7)
    one, other = dict(plain.named_buffers()), dict(saving.named_buffers())
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_checkpointing_is_no_part_of_what_a_network_is():
    assert NetworkSettings(name="embnet", checkpointing=True).identity() == NetworkSettings(name="embnet").identity()
    assert NetworkSettings(name="resnet18", drop_path=0.1).identity() != NetworkSettings(name="resnet18").identity()


@pytest.mark.parametrize("name", ["timm:resnet18", "timm:convnext_atto", "convnext_tiny", "swin_t", "efficientnet_b0"])
def test_drop_path_rises_with_depth_to_what_is_set(name):
    from timm.layers import DropPath
    from torchvision.ops import StochasticDepth

    network = build_network(NetworkSettings(name=name, size=32, dimension=8, drop_path=0.35), seed=0)
    found = [
        m.drop_prob if isinstance(m, DropPath) else m.p
        for m in network.modules()
        if isinstance(m, DropPath | StochasticDepth)
    ]
    assert found == sorted(found) and found[-1] <= 0.35 + 1e-9 and found[-1] > 0.28 and found[0] < 0.1
    images, domains = pictures()
    with torch.random.fork_rng(), torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):  # a new ResNet of timm's has blocks that add nothing
                layer.weight.fill_(1)
        assert not torch.equal(network.train()(images, domains), network(images, domains))
        assert torch.equal(network.eval()(images, domains), network(images, domains))


@pytest.mark.parametrize("name", ["resnet18", "timm:vgg11"])
def test_a_network_without_blocks_to_skip_says_so_in_one_line(name):
    with pytest.raises(InputError, match=rf"^network.drop_path: 0.1, but {name} has no blocks"):
        build_network(NetworkSettings(name=name, size=32, drop_path=0.1), seed=0)

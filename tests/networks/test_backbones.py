"""Every family of torchvision's classification networks against torchvision's own forward pass."""

import dataclasses
import inspect
from itertools import chain

import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision import models

from fashion.networks.backbones import build_stages, feature_length
from fashion.networks.files import fingerprint, load_network, save_network
from fashion.networks.model import EmbeddingNetwork, build_network, parameter_depths
from fashion.networks.normalise import Normalise
from fashion.networks.of_timm import timm_network
from fashion.networks.settings import NetworkSettings
from fashion.networks.stages import cut
from fashion.networks.transform import USUAL
from fashion.storage import Store

from .peers import penultimate, torchvision_network

# A small network a family, its number of stages, and its input where 64 pixels are too few.
FAMILIES = {
    "alexnet": (4, 64),
    "convnext_tiny": (4, 64),
    "densenet121": (5, 64),
    "efficientnet_b0": (5, 64),
    "googlenet": (6, 64),
    "inception_v3": (6, 75),
    "maxvit_t": (5, 224),
    "mnasnet0_5": (5, 64),
    "mobilenet_v2": (5, 64),
    "mobilenet_v3_small": (5, 64),
    "regnet_x_400mf": (5, 64),
    "resnet18": (5, 64),
    "shufflenet_v2_x0_5": (5, 64),
    "squeezenet1_1": (4, 64),
    "swin_t": (4, 64),
    "swin_v2_t": (4, 64),
    "vgg11": (6, 64),
    "vit_b_32": (13, 64),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_stages_with_a_file_of_torchvisions_weights_compute_what_torchvision_computes(tmp_path, name):
    count, size = FAMILIES[name]
    reference = torchvision_network(name, size)
    path = tmp_path / f"{name}.safetensors"
    safetensors.torch.save_file(reference.state_dict(), path)
    settings = NetworkSettings(
        name=name, size=size, branches="dual", shared_stages=count - 1, dimension=8, pretrained=str(path)
    )
    network = build_network(settings, seed=0).eval()
    path.unlink()  # vgg11's is half a gigabyte
    assert len(network.shared) == count - 1
    images = 255 * torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    expected = penultimate(reference, Normalise(USUAL)(images))
    assert (
        expected[0] - expected[1]
    ).abs().max() > 1e-3 * expected.abs().max()  # else it could not tell pictures apart
    with torch.no_grad():
        x = network.normalise(images)
        features = [branch[:-1](network.shared(x)) for branch in network.branches]
        for found in features:
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
        consumer_and_shop = network(images, torch.tensor([0, 1]))
        heads = torch.stack([network.branches[d][-1](features[d])[d] for d in (0, 1)])
    torch.testing.assert_close(consumer_and_shop, nn.functional.normalize(heads), rtol=1e-3, atol=1e-4)


def test_every_network_that_torchvision_lists_is_of_a_family_tested_here():
    def family(name: str) -> type:
        return inspect.signature(models.get_model_builder(name)).return_annotation

    assert {family(name) for name in models.list_models(module=models)} == {family(name) for name in FAMILIES}


def test_a_stage_begins_where_the_resolution_is_halved():
    a, b, c, d = nn.Conv2d(3, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Sequential(nn.ReLU(), nn.Conv2d(3, 3, 3, stride=2))
    groups = cut([c, a, b, c, d, b])
    assert [list(group) for group in groups] == [[c, a, b], [c], [d, b]]


def test_feature_length_of_a_network_without_weights_needs_no_arithmetic():
    with torch.device("meta"):
        stages = build_stages(
            settings := NetworkSettings(name="resnet18", size=1 << 20)
        )  # no memory would hold its maps
    assert feature_length(stages, settings) == 512


def test_feature_length_leaves_the_stages_as_they_are():
    settings = NetworkSettings(name="resnet18")
    stages = build_stages(settings)
    before = {f"{i} {name}": t.clone() for i, s in enumerate(stages) for name, t in s.state_dict().items()}
    assert feature_length(stages, settings) == 512
    after = {f"{i} {name}": t for i, s in enumerate(stages) for name, t in s.state_dict().items()}
    assert all(torch.equal(before[name], after[name]) for name in before) and before.keys() == after.keys()
    assert all(stage.training for stage in stages)


# Likewise for timm; one that has no stages here is one stage.
OF_TIMM = {
    "tf_efficientnet_lite0": (5, 64),
    "mobilenetv3_small_050": (5, 64),
    "resnet26d": (5, 64),
    "resnetv2_50": (5, 64),
    "convnext_atto": (4, 64),
    "regnetx_002": (5, 64),
    "repvgg_a0": (5, 64),
    "swin_tiny_patch4_window7_224": (4, 64),
    "vit_tiny_patch16_224": (13, 64),
    "vit_small_patch14_reg4_dinov2": (13, 56),
    "vit_base_patch16_siglip_224": (13, 64),
    "xcit_nano_12_p16_224": (1, 64),
}


@pytest.mark.parametrize("name", OF_TIMM)
def test_timms_networks_whole_and_in_stages_compute_what_timm_computes(name):
    count, size = OF_TIMM[name]
    settings = NetworkSettings(name=f"timm:{name}", size=size, dimension=8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference = timm_network(settings).eval()
    images = 255 * torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(1))
    domains = torch.tensor([0, 1, 0])
    whole = EmbeddingNetwork(settings, reference.state_dict()).eval()
    dual = dataclasses.replace(settings, branches="dual", shared_stages=count // 2)
    apart = EmbeddingNetwork(dual, reference.state_dict()).eval()
    assert len(apart.shared) == count // 2 and len(apart.branches[0]) == count - count // 2 + 1
    assert set(whole.shared[0].state_dict()) == set(reference.state_dict())  # timm's own names
    with torch.no_grad():
        x = whole.normalise(images)
        expected = reference.forward_head(reference.forward_features(x), pre_logits=True)
        torch.testing.assert_close(whole.shared(x), expected)
        for branch in apart.branches:
            torch.testing.assert_close(branch[:-1](apart.shared(x)), expected)
        assert apart(images, domains).shape == (3, 8)
    for network in (whole, apart):
        groups = parameter_depths(network)
        assert (len(groups) == count + 1) if count > 1 else (len(groups) > 10)
        assert set(chain.from_iterable(groups)) == set(network.parameters())
        depth = {p: i for i, group in enumerate(groups) for p in group}
        order = [depth[p] for p in network.shared.parameters()]
        assert order == sorted(order) or count == 1


def test_a_file_with_two_branches_of_a_timm_network_that_was_not_taken_apart_is_read(tmp_path):
    settings = NetworkSettings(name="timm:resnet18", size=32, dimension=8, branches="dual", shared_stages=1)
    with torch.random.fork_rng():
        old = EmbeddingNetwork(settings, apart=False).eval()
    digest = save_network(Store(tmp_path), "network.safetensors", old)
    loaded, _ = load_network(Store(tmp_path), "network.safetensors")
    images, domains = torch.full((2, 3, 32, 32), 99.0), torch.tensor([0, 1])
    with torch.no_grad():
        assert torch.equal(loaded.eval()(images, domains), old(images, domains))
    assert fingerprint(loaded) == digest

import functools
import re

import pytest
import safetensors.torch
import timm
import torch
from torchvision import models

from fashion.errors import InputError
from fashion.networks.model import EmbeddingNetwork, build_network
from fashion.networks.normalise import Normalise
from fashion.networks.settings import NetworkSettings
from fashion.networks.transform import USUAL

from .peers import penultimate, torchvision_network


def with_dots(weights):
    """DenseNet's layers as they are called in its published files."""
    return {re.sub(r"(denselayer.*(?:norm|conv))([12])", r"\1.\2", name): t for name, t in weights.items()}


def with_linear(weights):
    """A vision transformer's layers as they are called in its published files."""
    new_to_old = (("mlp.0.", "mlp.linear_1."), ("mlp.3.", "mlp.linear_2."))
    return {functools.reduce(lambda n, pair: n.replace(*pair), new_to_old, name): t for name, t in weights.items()}


def without_counts(weights):
    """Batch normalisation as it was stored before it counted its batches."""
    return {name: t for name, t in weights.items() if not name.endswith("num_batches_tracked")}


@pytest.mark.parametrize(
    "name, published", [("densenet121", with_dots), ("vit_b_32", with_linear), ("resnet18", without_counts)]
)
def test_the_names_in_published_files_are_understood(name, published):
    weights = torchvision_network(name, 64).state_dict()
    assert published(weights).keys() != weights.keys()
    settings = NetworkSettings(name=name, pretrained="DEFAULT")
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        one, other = (EmbeddingNetwork(settings, w).eval().shared(x) for w in (weights, published(weights)))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_the_classifiers_half_way_up_are_left_out():
    with torch.random.fork_rng():
        reference = models.googlenet(weights=None, init_weights=False, transform_input=True).eval()
    network = EmbeddingNetwork(NetworkSettings(name="googlenet"), reference.state_dict()).eval()
    images = 255 * torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = penultimate(reference, Normalise(USUAL)(images))
        torch.testing.assert_close(network.shared(network.normalise(images)), expected, rtol=1e-4, atol=1e-6)


def test_a_vision_transformers_positions_follow_the_size_of_the_input():
    reference = torchvision_network("vit_b_32", 224)
    settings = NetworkSettings(name="vit_b_32", size=64, pretrained="DEFAULT")
    positions = EmbeddingNetwork(settings, reference.state_dict()).shared[0].positions
    old = reference.encoder.pos_embedding
    assert positions.shape == (1, 1 + 2 * 2, 768)
    # Two by two positions over seven by seven, corner to corner: the class token and the corners are what they were.
    torch.testing.assert_close(positions[0], old[0, [0, 1, 7, 43, 49]])


@pytest.fixture(scope="module")
def resnet():
    return dict(models.resnet18(weights=None).state_dict())


def without(weights, *names):
    return {name: tensor for name, tensor in weights.items() if name not in names}


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda w: without(w, "layer1.0.conv1.weight", "bn1.bias"), "2 missing (bn1.bias, layer1.0.conv1.weight)"),
        (lambda w: w | {"layer9.weight": torch.zeros(1)}, "0 missing, 1 unknown (layer9.weight)"),
        (lambda w: {f"module.{name}": t for name, t in w.items()}, "unknown (module.bn1.bias, "),
        (lambda w: w | {"conv1.weight": torch.zeros(64, 3, 3, 3)}, "1 tensors of another shape, first size mismatch"),
    ],
)
def test_weights_of_another_network_are_one_line_with_counts_and_names(tmp_path, resnet, change, expected):
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(change(resnet), path)
    with pytest.raises(InputError) as error:
        build_network(NetworkSettings(name="resnet18", pretrained=str(path)), seed=0)
    message = str(error.value)
    assert message.startswith(f"network.pretrained: {path}") and expected in message and "\n" not in message


def test_another_number_of_classes_or_none_is_no_difference(resnet):
    settings = NetworkSettings(name="resnet18", pretrained="DEFAULT")
    for weights in (without(resnet, "fc.weight", "fc.bias"), resnet | {"fc.weight": torch.zeros(7, 512)}):
        EmbeddingNetwork(settings, weights)


def test_a_file_that_is_not_there_or_not_safetensors_is_one_line(tmp_path):
    (tmp_path / "text.safetensors").write_text("not weights")
    for name, expected in (("none.safetensors", "no such file"), ("text.safetensors", "not a safetensors file")):
        with pytest.raises(InputError, match=expected):
            build_network(NetworkSettings(name="resnet18", pretrained=str(tmp_path / name)), seed=0)


def test_a_download_that_fails_says_what_to_do(monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/nonexistent")
    monkeypatch.setattr(torch.hub.os, "makedirs", lambda *args, **kwargs: None)
    with pytest.raises(InputError, match=r"no route to host\); give the path of a .safetensors file"):
        build_network(NetworkSettings(name="resnet18", pretrained="IMAGENET1K_V1"), seed=0)


def test_weights_of_timms_hub_are_taken_as_its_record_says(monkeypatch):
    made = timm.create_model

    def hub(name, pretrained=False, **options):
        with torch.random.fork_rng():
            torch.manual_seed(7 if pretrained else 8)
            return made(name, **options)

    monkeypatch.setattr(timm, "create_model", hub)
    settings = NetworkSettings(name="timm:vit_tiny_patch16_224", pretrained="DEFAULT", size=32, dimension=8)
    network, expected = build_network(settings, seed=0), hub("vit_tiny_patch16_224", True, img_size=32, num_classes=0)
    assert torch.equal(network.shared[0].blocks[3].attn.qkv.weight, expected.blocks[3].attn.qkv.weight)
    assert network.settings.transform.mean == (0.5, 0.5, 0.5) and network.settings.transform.fit == "crop"


def test_a_hub_that_cannot_be_reached_says_what_to_do(monkeypatch):
    made = timm.create_model

    def hub(name, pretrained=False, **options):
        if pretrained:
            raise OSError("cannot find the requested files in the cache, and outgoing traffic\nhas been disabled")
        return made(name, **options)

    monkeypatch.setattr(timm, "create_model", hub)
    with pytest.raises(InputError, match=r"DEFAULT of timm:resnet18 could not be downloaded \(cannot find") as error:
        build_network(NetworkSettings(name="timm:resnet18", pretrained="DEFAULT"), seed=0)
    assert "\n" not in str(error.value) and "give the path of a .safetensors file" in str(error.value)

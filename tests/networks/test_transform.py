import dataclasses
import json

import pytest
import safetensors.torch
import timm
import torch
from torchvision import models
from torchvision.transforms import v2

from fashion.networks.files import fingerprint, load_network, save_network
from fashion.networks.model import build_network
from fashion.networks.normalise import Normalise
from fashion.networks.records import recorded
from fashion.networks.settings import NetworkSettings
from fashion.networks.transform import USUAL, Transform
from fashion.storage import Store

HALF = (0.5, 0.5, 0.5)


def pictures(*, side=9, dtype=torch.uint8):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (4, 3, side, side), dtype=torch.uint8, generator=generator).to(dtype)


@pytest.mark.parametrize("transform", [USUAL, Transform(mean=HALF, std=(0.25, 0.5, 1.0))])
def test_normalising_equals_torchvisions_presets(transform):
    preset = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(transform.mean, transform.std)])
    normalise = Normalise(transform)
    for images in (pictures(), pictures(dtype=torch.float32)):
        torch.testing.assert_close(normalise(images), preset(pictures()), atol=1e-5, rtol=0)


def test_normalising_keeps_channels_last():
    images = pictures().contiguous(memory_format=torch.channels_last)
    assert Normalise(USUAL)(images).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("design", ["plain", "fashionnet"])
def test_a_network_normalises_what_it_is_shown_as_its_settings_say(design):
    settings = NetworkSettings(name="embnet", width=0.25, dimension=8, size=32, design=design, mean=HALF, std=HALF)
    shown, usual = (
        build_network(settings, seed=0).eval(),
        build_network(NetworkSettings(**_usual(settings)), seed=0).eval(),
    )
    with torch.no_grad():
        # The pictures that one sees as the other sees these.
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (USUAL.mean, USUAL.std))
        x = pictures(side=32, dtype=torch.float32)
        same = 255 * ((x / 255 - 0.5) / 0.5 * std + mean)
        torch.testing.assert_close(shown(x), usual(same), atol=1e-5, rtol=1e-4)
        assert (shown(x) - usual(x)).abs().max() > 0.01


def _usual(settings):
    return dataclasses.asdict(settings) | {"mean": None, "std": None}


def test_a_network_of_before_has_the_same_identity_and_meaning(tmp_path):
    """What a file of ours said before networks carried a transform, word for word."""
    old = {"name": "embnet", "dimension": 8, "head": "linear", "branches": "shared", "shared_stages": 1,
           "pretrained": None, "size": 32, "width": 0.25}  # fmt: skip
    network = build_network(NetworkSettings(**old), seed=0)
    assert network.settings.identity() == old and network.settings.transform == USUAL
    digest = save_network(Store(tmp_path), "network.safetensors", network)
    assert _settings_in(tmp_path / "network.safetensors") == old
    # It started from weights with a record, and was shown pictures as every network was.
    held = old | {"name": "timm:tf_efficientnet_lite0", "pretrained": "DEFAULT", "width": 1.0, "size": 64}
    network.settings = NetworkSettings(**held)
    assert network.settings.transform == USUAL and fingerprint(network) != digest


def _settings_in(file):
    with safetensors.safe_open(file, "pt") as opened:
        return json.loads(opened.metadata()["settings"])


def test_what_is_not_usual_is_in_the_file_and_comes_back(tmp_path):
    settings = NetworkSettings(
        name="embnet", width=0.25, dimension=8, size=32, mean=HALF, interpolation="bicubic", fit="pad"
    )
    network = build_network(settings, seed=0)
    digest = save_network(Store(tmp_path), "network.safetensors", network)
    loaded, _ = load_network(Store(tmp_path), "network.safetensors")
    assert loaded.settings.transform == Transform(mean=HALF, interpolation="bicubic", fit="pad")
    assert fingerprint(loaded) == digest != fingerprint(build_network(NetworkSettings(**_usual(settings)), seed=0))
    assert torch.equal(loaded.normalise.mean, network.normalise.mean)


@pytest.mark.parametrize(
    "name, mean, std, interpolation, fit, side",
    [
        ("timm:tf_efficientnet_lite0", HALF, HALF, "bicubic", "crop", 224),
        ("timm:convnextv2_huge", USUAL.mean, USUAL.std, "bicubic", "stretch", 384),
        ("timm:vit_base_patch16_clip_224.openai", (0.48145466, 0.4578275, 0.40821073),
         (0.26862954, 0.26130258, 0.27577711), "bicubic", "crop", 224),
        ("timm:nextvit_small", USUAL.mean, USUAL.std, "bicubic", "crop", 224),
        ("resnet18", USUAL.mean, USUAL.std, "bilinear", "crop", 224),
        ("vit_h_14", USUAL.mean, USUAL.std, "bicubic", "crop", 518),
        ("inception_v3", HALF, HALF, "bilinear", "crop", 299),
    ],
)  # fmt: skip
def test_the_records_of_timm_and_torchvision_are_read(name, mean, std, interpolation, fit, side):
    found, size = recorded(NetworkSettings(name=name, pretrained="DEFAULT"))
    assert found == Transform(mean=mean, std=std, interpolation=interpolation, fit=fit) and size == side


def test_every_record_of_torchvisions_and_timms_can_be_read():
    names = models.list_models(module=models) + [f"timm:{name}" for name in timm.list_models()[::40]]
    for name in names:
        transform, side = recorded(NetworkSettings(name=name))
        NetworkSettings(name=name, size=side).showing(transform)  # raises for what is out of range


def test_a_setting_that_is_given_comes_before_the_record():
    network = build_network(NetworkSettings(name="timm:tf_efficientnet_lite0", pretrained="DEFAULT", fit="pad"), seed=0)
    assert network.settings.transform == Transform(mean=HALF, std=HALF, interpolation="bicubic", fit="pad")


def test_a_fashionnet_is_always_shown_stretched_pictures():
    settings = NetworkSettings(name="resnet18", design="fashionnet")
    assert settings.showing(Transform(fit="crop", interpolation="bicubic")).transform == Transform(
        interpolation="bicubic"
    )

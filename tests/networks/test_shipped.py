"""The ImageNet weights that a package holds."""

import socket

import pytest
import timm
import torch

from fashion.errors import InputError
from fashion.networks import shipped
from fashion.networks.model import build_network
from fashion.networks.records import recorded
from fashion.networks.settings import SHIPPED, NetworkSettings

SETTINGS = NetworkSettings(name=SHIPPED, pretrained="DEFAULT", size=96)


@pytest.fixture
def no_internet(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("asked the network for something")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_the_default_of_the_shipped_network_is_there_without_internet(no_internet):
    network = build_network(SETTINGS, seed=0).eval()
    weights = torch.load(shipped.shipped_file(SHIPPED), weights_only=True)
    assert network.settings.transform.mean == (0.5, 0.5, 0.5)
    # By the file's own names, which say what each tensor is.
    model = network.shared[0].state_dict()
    assert torch.equal(model["conv_stem.weight"], weights["_conv_stem.weight"])
    assert torch.equal(model["blocks.6.0.conv_pwl.weight"], weights["_blocks.15._project_conv.weight"])
    assert torch.equal(model["bn2.running_var"], weights["_bn1.running_var"])


def test_what_is_known_of_the_shipped_network_is_what_its_record_says():
    assert recorded(SETTINGS) == (shipped.TRANSFORM, shipped.SIDE)


@pytest.mark.parametrize(
    "change, expected",
    [(lambda data: data[:-1], "is not the file of version"), (lambda data: b"", "is not the file of version")],
)
def test_another_file_is_refused_in_one_line(tmp_path, monkeypatch, change, expected):
    other = tmp_path / "other.pth"
    other.write_bytes(change(shipped.shipped_file(SHIPPED).read_bytes()))
    monkeypatch.setattr("fashion.networks.pretrained.shipped_file", lambda name: other)
    with pytest.raises(InputError) as error:
        build_network(SETTINGS, seed=0)
    message = str(error.value)
    assert message.startswith("network.pretrained: ") and expected in message and "\n" not in message


def test_weights_that_this_timm_has_no_place_for_are_refused(monkeypatch):
    with pytest.raises(InputError, match="do not fit"):
        shipped.read_shipped(shipped.shipped_file(SHIPPED), timm.create_model("tf_efficientnet_lite1"))

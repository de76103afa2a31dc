import json

import pytest
import safetensors.torch
import torch

from fashion.errors import InputError
from fashion.networks.files import fingerprint, load_network, save_network
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.storage import Store

SETTINGS = NetworkSettings(name="embnet", width=0.125, dimension=8, size=32, branches="dual", head="bnneck")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def trained():
    """A network whose statistics are no longer those of a new one."""
    network = build_network(SETTINGS, seed=1)
    network(torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 1] * 3))
    return network


def test_a_reloaded_network_gives_identical_embeddings_and_has_the_same_fingerprint(store):
    network = trained()
    digest = save_network(store, "run/best.safetensors", network, {"epoch": 3, "recall": {"1": 0.5}})
    state = torch.get_rng_state()
    loaded, extra = load_network(store, "run/best.safetensors")
    assert torch.equal(torch.get_rng_state(), state)
    assert extra == {"epoch": 3, "recall": {"1": 0.5}} and loaded.settings == SETTINGS
    assert fingerprint(loaded) == fingerprint(network) == digest
    images, domains = torch.randn(5, 3, 32, 32), torch.tensor([1, 0, 0, 1, 1])
    assert torch.equal(loaded.eval()(images, domains), network.eval()(images, domains))


def test_a_network_is_loaded_without_the_weights_it_started_from(store, tmp_path):
    start = tmp_path / "start.safetensors"
    embnet = build_network(NetworkSettings(name="embnet", width=0.125), seed=0).shared
    safetensors.torch.save_file(embnet.state_dict(), start)
    settings = NetworkSettings(name="embnet", width=0.125, pretrained=str(start))
    digest = save_network(store, "network.safetensors", build_network(settings, seed=1))
    start.unlink()
    loaded, _ = load_network(store, "network.safetensors")
    assert fingerprint(loaded) == digest
    assert all(torch.equal(tensor, loaded.shared.state_dict()[name]) for name, tensor in embnet.state_dict().items())


def test_the_fingerprint_differs_for_any_changed_tensor_or_setting_and_not_for_the_memory_format():
    network = trained()
    digest = fingerprint(network)
    assert fingerprint(trained().to(memory_format=torch.channels_last)) == digest
    seen = {digest}
    for tensor in network.state_dict().values():
        kept = tensor.clone()
        tensor.view(-1)[-1:].add_(1)
        seen.add(fingerprint(network))
        tensor.copy_(kept)
    assert len(seen) == 1 + len(network.state_dict())
    assert fingerprint(network) == digest
    network.settings = NetworkSettings(name="embnet", width=0.125, dimension=8, size=40, branches="dual", head="bnneck")
    assert fingerprint(network) != digest


def damaged(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def with_metadata(data: bytes, **changes: str) -> bytes:
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    return safetensors.torch.save(safetensors.torch.load(data), metadata | changes)


@pytest.mark.parametrize(
    "change, expected",
    [
        (damaged, "is damaged"),
        (lambda data: data[:100], "is not a network file"),
        (lambda data: b"", "is not a network file"),
        (lambda data: safetensors.torch.save(safetensors.torch.load(data)), "format None, expected"),
        (lambda data: with_metadata(data, settings='{"depth": 3}'), r"does not know \(depth\)"),
        (lambda data: with_metadata(data, settings='{"dimension": 9}'), "is damaged"),
    ],
)
def test_a_foreign_or_damaged_file_is_refused_in_one_line(store, change, expected):
    save_network(store, "good", trained())
    store.write("bad", change(store.read("good")))
    with pytest.raises(InputError, match=expected) as error:
        load_network(store, "bad")
    assert str(error.value).startswith(f"{store.uri}/bad") and "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_refused_in_one_line(store):
    with pytest.raises(InputError, match="nowhere: no such network file"):
        load_network(store, "nowhere")


def test_equal_networks_are_equal_files(store):
    one, other = trained(), trained()
    for modules in (other._modules, other._parameters):  # the same, put in the other way round
        for name in reversed(list(modules)):
            modules[name] = modules.pop(name)
    assert list(one.state_dict()) != list(other.state_dict())
    for i in range(8):
        save_network(store, f"{i}", one if i % 2 else other, {"epoch": 3, "é": "ü"})
    assert {store.read(f"{i}") for i in range(8)} == {store.read("0")}
    loaded, extra = load_network(store, "7")
    assert fingerprint(loaded) == fingerprint(one) and extra == {"epoch": 3, "é": "ü"}

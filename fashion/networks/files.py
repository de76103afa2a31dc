"""A network as one safetensors file that says itself what it is."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping

import safetensors
import safetensors.torch
import torch

from fashion.errors import InputError
from fashion.networks.model import Network, make_network
from fashion.networks.settings import NetworkSettings
from fashion.storage import Store
from fashion.vocabulary import Vocabulary

FORMAT = "fashion-network-1"


def save_network(
    store: Store,
    name: str,
    network: Network,
    extra: dict | None = None,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> str:
    """Write weights, settings, vocabulary, fingerprint and `extra` (anything that JSON can hold) as file `name`. Returns the
    fingerprint. `weights`: a copy of its state dict, to be written in place of what it has by now."""
    tensors = _tensors(network.state_dict() if weights is None else weights)
    told = _told(network)
    digest = _digest(told, tensors)
    metadata = {"format": FORMAT, **told, "fingerprint": digest, "extra": json.dumps(extra or {})}
    store.write(name, *_sorted(safetensors.torch.save(tensors, metadata)))
    return digest


def load_network(store: Store, name: str) -> tuple[Network, dict]:
    """The network of file `name`, on the CPU and in training mode as it would be built, and the file's `extra`. Reads
    no other file: the weights it once started from are not needed. Raises InputError for a file that is not there, not
    a network's, or damaged."""
    where = f"{store.uri}/{name}"
    try:
        data = store.read(name)
    except FileNotFoundError:
        raise InputError(f"{where}: no such network file") from None
    return read_network(data, where)


def is_network(data: bytes) -> bool:
    """Whether these are the bytes of a network's file, and not of other weights or nothing known."""
    try:
        return _metadata(data).get("format") == FORMAT
    except ValueError:
        return False


def read_network(data: bytes, where: str) -> tuple[Network, dict]:
    """`load_network` of a file's bytes; `where` they come from is named in errors."""
    try:
        tensors = safetensors.torch.load(data)
        metadata = _metadata(data)
    except (safetensors.SafetensorError, ValueError) as error:
        raise InputError(f"{where} is not a network file: {error}") from None
    if metadata.get("format") != FORMAT:
        raise InputError(f"{where} is not a network file: format {metadata.get('format')!r}, expected {FORMAT!r}")
    try:
        settings = _settings(json.loads(metadata["settings"]), where)
    except InputError as fault:  # of a value, where a bit of the text is another
        raise fault if where in str(fault) else InputError(f"{where} is damaged: {fault}") from None
    except (KeyError, TypeError, ValueError, RecursionError):
        raise InputError(f"{where} is damaged: its settings; write it again, or take an older one") from None
    told: dict[str, str] = {name: metadata[name] for name in ("settings", "vocabulary") if name in metadata}
    if _digest(told, tensors) != metadata.get("fingerprint"):
        raise InputError(f"{where} is damaged: weights and fingerprint differ; write it again, or take an older one")
    vocabulary = Vocabulary.from_json(told["vocabulary"]) if "vocabulary" in told else None
    with torch.random.fork_rng(devices=[]):
        # A timm network with two branches was not taken apart at first: its names then begin as its own do.
        network = make_network(settings, vocabulary)
        if network.state_dict().keys() != tensors.keys():
            network = make_network(settings, vocabulary, apart=False)
    network.load_state_dict(tensors)
    try:
        return network, json.loads(metadata["extra"])
    except (KeyError, ValueError):
        raise InputError(f"{where} is damaged: what it says of itself; write it again, or take an older one") from None


def fingerprint(network: Network) -> str:
    """16 hexadecimal digits over the settings, the vocabulary and every weight and buffer: equal for equal networks
    wherever they are, different when one bit differs."""
    return _digest(_told(network), _tensors(network.state_dict()))


def _tensors(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    # Rows in the order of their indices, so that channels_last makes no difference.
    return {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}


def _told(network: Network) -> dict[str, str]:
    """What a network is beside its weights."""
    told = {"settings": json.dumps(network.settings.identity(), sort_keys=True)}
    return told | ({"vocabulary": network.vocabulary.to_json()} if network.vocabulary else {})


def _digest(told: dict[str, str], tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.blake2b("\n".join(told[name] for name in sorted(told)).encode(), digest_size=8)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _settings(values: dict, where: str) -> NetworkSettings:
    unknown = sorted(set(values) - {field.name for field in dataclasses.fields(NetworkSettings)})
    if unknown:
        raise InputError(f"{where} has settings this version does not know ({', '.join(unknown)}); use a newer one")
    return NetworkSettings(**values)


def _sorted(data: bytes) -> tuple[bytes, memoryview]:
    """The same file, in two parts, with its header in the order of names: safetensors writes the metadata in an order of
    chance."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(
        json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
    header += b" " * (-len(header) % 8)  # tensors begin at a multiple of 8
    return len(header).to_bytes(8, "little") + header, memoryview(data)[8 + length :]


def _metadata(data: bytes) -> dict[str, str]:
    """The text in a safetensors file's header: 8 bytes of its length, little-endian, then JSON."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]).get("__metadata__", {})

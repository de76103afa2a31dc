"""Going on from a network of ours with another table, loss, size or head."""

import torch
from torch import nn

from fashion.errors import InputError
from fashion.networks.model import EmbeddingNetwork, Network


def take_over(network: Network, other: Network) -> str:
    """Give `network` the weights of `other`: the backbone's all, its new layers' where they are the same layers. Returns
    what was taken, in words. Raises InputError for another backbone."""
    mine, theirs = network.settings, other.settings
    where = mine.pretrained or "the other network"
    for field in ("name", "design", "width"):
        if getattr(mine, field) != getattr(theirs, field):
            raise InputError(
                f"network.pretrained: {where} holds a network with {field} {getattr(theirs, field)}, found network.{field} "
                f"{getattr(mine, field)}; set network.{field} {getattr(theirs, field)}"
            )
    with torch.no_grad():
        for stage, (targets, sources) in enumerate(zip(network.depths(), other.depths(), strict=True)):
            if len(sources) > len(targets):
                raise InputError(
                    f"network.pretrained: {where} has two branches from stage {stage} on, found network.branches "
                    f"{mine.branches} with shared_stages {mine.shared_stages}; set network.branches {theirs.branches} and "
                    f"network.shared_stages {theirs.shared_stages}"
                )
            for i, target in enumerate(targets):
                _copy(target, sources[min(i, len(sources) - 1)], where, mine.side)
        heads = [_take_new(name, layer, network, other) for name, layer in _new_layers(network).items()]
    if all(heads):
        return "backbone and head"
    if mine.dimension != theirs.dimension:
        return f"backbone; a new head, for network.dimension was {theirs.dimension} and is {mine.dimension}"
    return "backbone; new heads where they differ"


def _copy(target: nn.Module, source: nn.Module, where: str, size: int) -> None:
    weights = source.state_dict()
    for name, tensor in target.state_dict().items():
        if name not in weights or weights[name].shape != tensor.shape:
            raise InputError(
                f"network.pretrained: {where}: its layer {name} has another shape at network.size {size} than at the size "
                "that it was trained at; set that network.size"
            )
        tensor.copy_(weights[name])


def _new_layers(network: Network) -> dict[str, nn.Module]:
    """The layers that no published weights exist for, by names that do not depend on how many stages are shared."""
    if isinstance(network, EmbeddingNetwork):
        return {f"head {i}": branch[-1] for i, branch in enumerate(network.branches)}
    return {name: module for name, module in network.named_modules() if getattr(module, "new", False)}


def _take_new(name: str, layer: nn.Module, network: Network, other: Network) -> bool:
    """Whether `layer` now has the weights of the layer of that name; a second head, where there is but one, those of the
    first."""
    layers = _new_layers(other)
    source = layers.get(name) or layers.get("head 0")
    if source is None or (name in ("category", "attributes") and network.vocabulary != other.vocabulary):
        return False
    weights, own = source.state_dict(), layer.state_dict()
    if {n: t.shape for n, t in weights.items()} != {n: t.shape for n, t in own.items()}:
        return False
    layer.load_state_dict(weights)
    return True

"""Low-rank additions to a backbone whose own weights stay, by peft (Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large
Language Models"). What is validated and saved is a network like any other: the additions are summed into it."""

import copy
from importlib.util import find_spec
from typing import Generic, TypeVar

import torch
from torch import nn

from fashion.errors import InputError
from fashion.networks.heads import new_parameters

Adapted = TypeVar("Adapted", bound=nn.Module)


def check_installed() -> None:
    """Raises InputError where peft is not."""
    if find_spec("peft") is None:
        raise InputError(
            "optimizer.lora: peft is not installed; install the extra (pip install 'fashion-retrieval[lora]'), or leave "
            "it out"
        )


class Additions(Generic[Adapted]):
    """`network`: the one with the sums, in the shape that the adapted one had before."""

    def __init__(self, adapted: Adapted, rank: int, *, seed: int):
        """Changes `adapted` in place: of its backbone, nothing but the additions is trained any more. They begin as nothing,
        their first factors drawn from `seed`."""
        check_installed()
        self.network: Adapted = copy.deepcopy(adapted).requires_grad_(False)
        _adapt(adapted, rank, seed)

    @torch.no_grad()
    def update(self, adapted: nn.Module) -> None:
        """Take in the weights after a step."""
        sums = {
            name.replace(".base_layer.", "."): tensor
            for name, tensor in adapted.state_dict().items()
            if ".lora_" not in name
        }
        for name, layer in adapted.named_modules():
            if hasattr(layer, "get_delta_weight"):
                sums[f"{name}.weight"] = layer.get_base_layer().weight + layer.get_delta_weight("default")
        self.network.load_state_dict(sums)


def _adapt(network: nn.Module, rank: int, seed: int) -> None:
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds

    learnt = [p for p in new_parameters(network) if p.requires_grad]
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=_dense_layers(network))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(config, network)
    for parameter in learnt:  # peft has stopped all but its own
        parameter.requires_grad_(True)


def _dense_layers(network: nn.Module) -> list[str]:
    """The backbone's dense layers and its convolutions, but for depthwise ones. Torch's own attention reads the weights of
    its layers and does not call them, so an addition there would not count."""
    new, names = new_parameters(network), []
    for name, module in network.named_modules():
        dense = isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
        parent = network.get_submodule(name.rpartition(".")[0])
        if dense and module.weight not in new and not isinstance(parent, nn.MultiheadAttention):
            names.append(name)
    return names

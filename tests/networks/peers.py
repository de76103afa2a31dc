"""torchvision's own networks, to agree with."""

import torch
from torch import nn
from torchvision import models


def torchvision_network(name: str, size: int) -> nn.Module:
    """A torchvision network whose batch statistics are those of noise, so that its features are of order one."""
    options = {"image_size": size} if name.startswith("vit") else {}
    if name in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "transform_input": True, "init_weights": True}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = models.get_model(name, weights=None, **options)
        norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
        for layer in norms:
            layer.momentum = 1.0
        if norms:
            with torch.no_grad():
                network.train()(torch.randn(4, 3, size, size))
    return network.eval()


def penultimate(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What torchvision's own forward gives to its classifying layer; of squeezenet, that averaged over the picture."""
    layer = [m for m in network.modules() if isinstance(m, nn.Linear)][-1:] or [network.classifier[1]]
    seen = []
    handle = layer[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(x)
    handle.remove()
    return seen[0] if seen[0].ndim == 2 else seen[0].mean((2, 3))

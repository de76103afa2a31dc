"""torchvision's networks with random weights and without their classifiers."""

from typing import Any

from torch import nn
from torchvision import models
from torchvision.ops import StochasticDepth

from fashion.networks.of_timm import no_blocks
from fashion.networks.settings import NetworkSettings


def published_network(settings: NetworkSettings) -> tuple[nn.Module, tuple[str, ...]]:
    """The network without its classifying layer, and the beginnings of the names of weights it has no use for. Raises
    ValueError or AssertionError for a size that it cannot be made for."""
    options: dict[str, Any] = {}
    if settings.name.startswith("vit_"):
        options["image_size"] = settings.size
    elif settings.name.startswith("maxvit"):
        options["input_size"] = (settings.size, settings.size)
    elif settings.name in ("googlenet", "inception_v3"):
        # The classifiers half-way up train classes, and have no part in an embedding.
        options.update(aux_logits=False, init_weights=True)
    model = models.get_model(settings.name, weights=None, **options)
    if settings.drop_path is not None:
        _set_drop_path(model, settings, settings.drop_path)
    # The classifying layer is the last dense one, but for squeezenet, where it is a convolution before the pooling.
    if isinstance(model, models.SqueezeNet):
        last = "classifier.1"
    else:
        last = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)][-1]
    model.set_submodule(last, nn.Identity())
    return model, (f"{last}.", "AuxLogits.", "aux1.", "aux2.")


def _set_drop_path(model: nn.Module, settings: NetworkSettings, drop_path: float) -> None:
    """The probabilities rise with depth as they were published, to the highest that is set."""
    blocks = [module for module in model.modules() if isinstance(module, StochasticDepth)]
    highest = max((block.p for block in blocks), default=0.0)
    if not highest:
        raise no_blocks(settings)
    for block in blocks:
        block.p *= drop_path / highest

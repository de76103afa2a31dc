"""Networks of timm, a package that need not be installed."""

import importlib
import importlib.util

from torch import nn

from fashion.errors import InputError
from fashion.networks.settings import TIMM, NetworkSettings


def timm_network(settings: NetworkSettings, *, pretrained: bool = False) -> nn.Module:
    """timm's network without its classifying layer; `pretrained` downloads its default weights. Raises InputError where
    timm is not installed or has no such network, and timm's own error for a size that does not suit the network."""
    if importlib.util.find_spec("timm") is None:
        raise InputError(f"network.name: {settings.name} needs the package timm: pip install fashion-retrieval[timm]")
    timm = importlib.import_module("timm")
    name = settings.name.removeprefix(TIMM)
    if not timm.is_model(name):
        raise InputError(f"network.name: timm has no network {name!r}; timm.list_models() lists what it has")
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, img_size=settings.size)
    except TypeError:  # most convolutional networks take any size and have no such argument
        return timm.create_model(name, pretrained=pretrained, num_classes=0)

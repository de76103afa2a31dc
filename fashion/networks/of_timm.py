"""Networks of timm."""

from types import ModuleType
from typing import Any

from torch import nn

from fashion.errors import InputError
from fashion.networks.settings import TIMM, NetworkSettings


def timm_package(settings: NetworkSettings) -> ModuleType:
    """timm; raises InputError where it has no such network."""
    import timm  # here, for it takes seconds, and torchvision with it

    name = settings.name.removeprefix(TIMM)
    if not timm.is_model(name):
        raise InputError(f"network.name: timm has no network {name!r}; timm.list_models() lists what it has")
    return timm


def timm_network(settings: NetworkSettings, *, pretrained: bool = False, classes: int | None = 0) -> nn.Module:
    """timm's network without its classifying layer (`classes` None: with it); `pretrained` downloads its default
    weights. Raises InputError as `timm_package`, and timm's own error for a size that does not suit the network."""
    timm = timm_package(settings)
    options: dict[str, Any] = {"pretrained": pretrained, "img_size": settings.size}
    options |= {} if classes is None else {"num_classes": classes}
    options |= {} if settings.drop_path is None else {"drop_path_rate": settings.drop_path}
    name = settings.name.removeprefix(TIMM)
    try:
        return timm.create_model(name, **options)
    except TypeError as error:
        if "img_size" in str(error):  # most convolutional networks take any size and have no such argument
            del options["img_size"]
    try:
        return timm.create_model(name, **options)
    except TypeError as error:
        if "drop_path_rate" in str(error):
            raise no_blocks(settings) from None
        raise


def no_blocks(settings: NetworkSettings) -> InputError:
    """The error for a drop path where there is nothing to drop."""
    return InputError(
        f"network.drop_path: {settings.drop_path}, but {settings.name} has no blocks that could be skipped; leave it out"
    )

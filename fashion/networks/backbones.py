"""Backbones by name, as a list of stages: (N, 3, size, size) -> ... -> (N, F) features.

torchvision is imported only where one of its networks is asked for: it takes six seconds in every process.
"""

from collections.abc import Mapping, Sequence
from itertools import chain

import torch
from torch import nn

from fashion.errors import InputError
from fashion.networks.embnet import EmbNet
from fashion.networks.of_timm import timm_network
from fashion.networks.resnet10 import ResNet10
from fashion.networks.settings import EMBNET, OWN, RESNET10, TIMM, NetworkSettings


def build_stages(
    settings: NetworkSettings, weights: Mapping[str, torch.Tensor] | None = None, *, apart: bool = False
) -> list[nn.Module]:
    """The backbone's stages; the last one gives a vector a picture. `weights`: the backbone's, under the names of the
    package it comes from; None leaves the random start. A timm network is one stage, with all its own names, unless it
    has to be taken `apart`. Raises InputError for weights of another network, or for a size that the backbone cannot be
    made for."""
    model, unused = _build(settings)
    if weights is not None:
        from fashion.networks.pretrained import load_weights

        load_weights(model, weights, unused=unused, settings=settings)
    if settings.name in OWN:
        return list(model.children())
    if settings.name.startswith(TIMM):
        return stages_apart(model) if apart else [model]
    from fashion.networks.stages import stages_of

    return stages_of(model)


def stages_apart(stage: nn.Module) -> list[nn.Module]:
    """The stages that a stage of `build_stages` is made of: a whole timm network's own, else itself."""
    if not type(stage).__module__.startswith("timm."):
        return [stage]
    from fashion.networks.timm_stages import timm_stages

    return timm_stages(stage)


def feature_length(stages: Sequence[nn.Module], settings: NetworkSettings) -> int:
    """F, the length of the features of all the backbone's stages. Raises as `output_shape`."""
    return output_shape(stages, settings)[0]


def output_shape(stages: Sequence[nn.Module], settings: NetworkSettings) -> torch.Size:
    """What the first stages of a backbone, or all, make of one picture: (C, H, W) or (F,). Computed from shapes alone, but
    for our own networks, which are small: torch's meta device takes a second to import. Raises InputError where the input
    is too small, or otherwise wrong, for the backbone."""
    backbone = nn.Sequential(*stages)
    tensors = chain(backbone.named_parameters(), backbone.named_buffers())
    device = None if settings.name in OWN else "meta"
    shapes = {name: torch.empty_like(tensor, device=device) for name, tensor in tensors}
    picture = torch.zeros(1, 3, settings.side, settings.side, device=device)
    training = backbone.training
    try:
        with torch.no_grad():
            features = torch.func.functional_call(backbone.eval(), shapes, (picture,))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise _bad_size(settings, error) from None
    finally:
        backbone.train(training)
    return features.shape[1:]


def _build(settings: NetworkSettings) -> tuple[nn.Module, tuple[str, ...]]:
    """The network without its classifying layer, and the beginnings of the names of weights it has no use for."""
    if settings.name in OWN:
        return {EMBNET: EmbNet, RESNET10: ResNet10}[settings.name](settings.width), ()
    if settings.name.startswith(TIMM):
        try:
            return timm_network(settings), ("head.", "fc.", "classifier.", "head_dist.")
        except InputError:
            raise
        except (ValueError, AssertionError) as error:
            raise _bad_size(settings, error) from None
    from fashion.networks.published import published_network

    try:
        return published_network(settings)
    except InputError:
        raise
    except (ValueError, AssertionError) as error:
        raise _bad_size(settings, error) from None


def _bad_size(settings: NetworkSettings, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return InputError(f"network.size: {settings.name} cannot take {settings.size} pixels ({reason}); 224 suits most")

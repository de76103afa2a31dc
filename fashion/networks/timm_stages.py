"""timm's networks as sequences of stages, as stages.py does with torchvision's."""

import copy
from typing import Any, TypeVar

import torch
from timm.models import (
    ByobNet,
    ConvNeXt,
    EfficientNet,
    MobileNetV3,
    RegNet,
    ResNet,
    ResNetV2,
    SwinTransformer,
    VisionTransformer,
)
from torch import nn

from fashion.networks.stages import cut

Model = TypeVar("Model", bound=nn.Module)

# A family's parts in the order of its forward pass; `pool` and `flatten` stand for what its global pooling does.
_ORDER = {
    ByobNet: "stem stages final_conv pool flatten",
    ConvNeXt: "stem stages norm_pre pool head.norm flatten head.pre_logits",
    EfficientNet: "conv_stem bn1 blocks conv_head bn2 pool flatten",
    MobileNetV3: "conv_stem bn1 blocks pool conv_head norm_head act2 flatten",
    RegNet: "stem s1 s2 s3 s4 final_conv pool flatten",
    ResNet: "conv1 bn1 act1 maxpool layer1 layer2 layer3 layer4 pool flatten",
    ResNetV2: "stem stages norm pool flatten",
    SwinTransformer: "patch_embed layers norm head",
}


def timm_stages(model: nn.Module) -> list[nn.Module]:
    """The stages of a timm network without its classifying layer; they use its own layers. A family that is not known
    here, or one of a known family that pools otherwise, is one stage."""
    if type(model) is VisionTransformer:
        return _transformer_stages(model)
    names = _ORDER.get(type(model), "").split()
    if not names or ("pool" in names and not _averages(model)):
        return [model]
    steps: list[nn.Module] = []
    for name in names:
        step = _STEPS[name]() if name in _STEPS else model.get_submodule(name)
        steps += step.children() if type(step) in (nn.Sequential, nn.ModuleList) else [step]
    return cut(steps)


def parameter_groups(model: nn.Module) -> list[list[nn.Parameter]]:
    """A timm network's parameters in timm's own groups, from the input side on: for one that has no stages here."""
    from timm.models import group_parameters

    named = dict(model.named_parameters())
    matcher: Any = model.group_matcher
    return [
        [named[name] for name in names] for _, names in sorted(group_parameters(model, matcher(coarse=True)).items())
    ]


def _averages(model: nn.Module) -> bool:
    modules = dict(model.named_modules())
    pool = modules.get("global_pool") or modules.get("head.global_pool")
    return getattr(pool, "pool_type", None) == "avg"


def _transformer_stages(model: VisionTransformer) -> list[nn.Module]:
    """A vision transformer keeps one resolution: its stages are the patches, then each block."""
    *blocks, last = model.blocks
    return [_Tokens(model), *blocks, nn.Sequential(last, _Pooled(model))]


class _Tokens(nn.Module):
    """(N, 3, H, W) -> (N, tokens, F): a token a patch, with their positions, and those that stand for the whole."""

    def __init__(self, model: VisionTransformer):
        super().__init__()
        self.part = _part(model, "patch_embed", "pos_drop", "patch_drop", "norm_pre")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        part = self.part
        return part.norm_pre(part.patch_drop(part._pos_embed(part.patch_embed(x))))


class _Pooled(nn.Module):
    """(N, tokens, F) -> (N, F)."""

    def __init__(self, model: VisionTransformer):
        super().__init__()
        self.part = _part(model, "norm", "attn_pool", "fc_norm", "head_drop", "head")
        self.part._parameters = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.part.forward_head(self.part.norm(x), pre_logits=True)


def _part(model: Model, *names: str) -> Model:
    """The model with no other submodules than those named: for the methods that timm does their work in."""
    part = copy.copy(model)
    part._modules = {name: module for name, module in model._modules.items() if name in names}
    part._parameters = dict(model._parameters)
    return part


_STEPS = {"pool": lambda: nn.AdaptiveAvgPool2d(1), "flatten": lambda: nn.Flatten(1)}

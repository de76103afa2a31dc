"""torchvision's networks as sequences of stages, so that two branches can have the first of them in common.

A stage is what lies between two halvings of the resolution. The last one ends in a vector a picture: what the
network's classifying layer, which is gone, used to be given.
"""

import torch
from torch import nn
from torchvision import models
from torchvision.models.googlenet import GoogLeNet
from torchvision.models.inception import Inception3

# A family's parts in the order of its forward pass. A name that the network has not is one of _STEPS: what its forward
# does by a function.
_ORDER = {
    models.AlexNet: "features avgpool flatten classifier",
    models.ConvNeXt: "features avgpool classifier",
    models.DenseNet: "features relu pool flatten classifier",
    models.EfficientNet: "features avgpool flatten classifier",
    GoogLeNet: "rescale conv1 maxpool1 conv2 conv3 maxpool2 inception3a inception3b maxpool3 inception4a inception4b"
    " inception4c inception4d inception4e maxpool4 inception5a inception5b avgpool flatten dropout fc",
    Inception3: "rescale Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 maxpool1 Conv2d_3b_1x1 Conv2d_4a_3x3 maxpool2"
    " Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e Mixed_7a Mixed_7b Mixed_7c"
    " avgpool dropout flatten fc",
    models.MaxVit: "stem blocks classifier",
    models.MNASNet: "layers pool flatten classifier",
    models.MobileNetV2: "features pool flatten classifier",
    models.MobileNetV3: "features avgpool flatten classifier",
    models.RegNet: "stem trunk_output avgpool flatten fc",
    models.ResNet: "conv1 bn1 relu maxpool layer1 layer2 layer3 layer4 avgpool flatten fc",
    models.ShuffleNetV2: "conv1 maxpool stage2 stage3 stage4 conv5 pool flatten fc",
    models.SqueezeNet: "features classifier flatten",
    models.SwinTransformer: "features norm permute avgpool flatten head",
    models.VGG: "features avgpool flatten classifier",
}


def stages_of(model: nn.Module) -> list[nn.Module]:
    """The stages of a torchvision network whose classifying layer is an Identity; they use its own layers. A family
    that is not known here is one stage."""
    if isinstance(model, models.VisionTransformer):
        return _transformer_stages(model)
    if type(model) not in _ORDER:
        return [model]
    steps: list[nn.Module] = []
    for name in _ORDER[type(model)].split():
        part = getattr(model, name) if hasattr(model, name) else _STEPS[name]()
        steps += part.children() if isinstance(part, nn.Sequential | nn.ModuleList) else [part]
    return cut(steps)


def cut(steps: list[nn.Module]) -> list[nn.Module]:
    """Steps in a row, grouped so that each group but the first begins with a step that halves the resolution."""
    groups: list[list[nn.Module]] = [[]]
    for step in steps:
        if groups[-1] and _halves(step):
            groups.append([])
        groups[-1].append(step)
    return [nn.Sequential(*group) for group in groups]


def _halves(step: nn.Module) -> bool:
    def strided(layer: nn.Module) -> bool:
        stride = getattr(layer, "stride", 1)
        return (
            type(layer).__name__.startswith("PatchMerging")  # torchvision's and timm's
            or (max(stride) if type(stride) is tuple else stride) > 1
        )

    return any(strided(layer) for layer in step.modules())


def _transformer_stages(model: models.VisionTransformer) -> list[nn.Module]:
    """A vision transformer keeps one resolution: its stages are the patches, then each block."""
    *blocks, last = model.encoder.layers.children()
    return [_Tokens(model), *blocks, nn.Sequential(last, _ClassToken(model.encoder.ln), *model.heads.children())]


class _Tokens(nn.Module):
    """(N, 3, H, W) -> (N, 1 + patches, F): the class token, then a token a patch, with their positions."""

    def __init__(self, model: models.VisionTransformer):
        super().__init__()
        self.patches = model.conv_proj
        self.class_token = model.class_token
        self.positions = model.encoder.pos_embedding
        self.dropout = model.encoder.dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), patches], dim=1)
        return self.dropout(tokens + self.positions)


class _ClassToken(nn.Module):
    """(N, tokens, F) -> (N, F): the normalised class token."""

    def __init__(self, norm: nn.Module):
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x[:, 0])


_STEPS = {
    "flatten": lambda: nn.Flatten(1),
    "pool": lambda: nn.AdaptiveAvgPool2d(1),
    "relu": nn.ReLU,
    "rescale": nn.Identity,  # once a step of its own, which the names of weights still count; see transform.py
}

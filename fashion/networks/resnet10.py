"""A narrow ResNet of ten layers, for a start from random weights: docs/recipe.md has what it is worth beside others."""

import torch
from torch import nn

CHANNELS = (32, 64, 128, 256)


class ResNet10(nn.Sequential):
    """A 3x3 convolution that halves, one residual block a width, each but the first halving again, and the average.

    (N, 3, H, W) -> (N, 256 * width) for any input from 16 pixels on. The dense layer and the L2 norm are the head's.
    Blocks as in He et al. 2016, shortcuts averaged before their 1x1 convolution as in He et al. 2019 (ResNet-D)."""

    def __init__(self, width: float = 1.0):
        first, *others = (max(1, round(channels * width)) for channels in CHANNELS)
        stem = nn.Sequential(_convolution(3, first, 3, stride=2), nn.BatchNorm2d(first), nn.ReLU(inplace=True))
        blocks = [Block(first, first)]
        for channels in others:
            blocks.append(Block(first, channels, halve=True))
            first = channels
        pooled = nn.Sequential(blocks.pop(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(stem, *blocks, pooled)


class Block(nn.Module):
    """Two 3x3 convolutions and what goes past them."""

    def __init__(self, inputs: int, outputs: int, *, halve: bool = False):
        super().__init__()
        self.body = nn.Sequential(
            _convolution(inputs, outputs, 3, stride=2 if halve else 1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            _convolution(outputs, outputs, 3),
            nn.BatchNorm2d(outputs),
        )
        # Rounded up as the convolution's halving is.
        self.past = (
            nn.Sequential(
                nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False),
                _convolution(inputs, outputs, 1),
                nn.BatchNorm2d(outputs),
            )
            if halve
            else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu_(self.body(x) + self.past(x))


def _convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution

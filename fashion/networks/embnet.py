"""EmbNet: the small convolutional network that cross-domain clothes retrieval with triplets began with."""

from torch import nn

GRID = 4


class EmbNet(nn.Sequential):
    """Three blocks of convolution, ReLU, halving max-pool and batch normalisation: 4x4 with 64 channels, 3x3 with 64,
    3x3 with 128, as in the original, which had 128-pixel input and a dense layer on the last map. Here that map is
    first averaged to a GRID x GRID grid: any input from 32 pixels on gives a vector of the same length, and what is at
    the top of the garment stays apart from what is at the bottom.

    (N, 3, H, W) -> (N, 128 * width * GRID**2). The dense layer and the L2 norm are the head's.
    """

    def __init__(self, width: float = 1.0):
        low, middle, high = (max(1, round(channels * width)) for channels in (64, 64, 128))
        super().__init__(
            _block(3, low, 4),
            _block(low, middle, 3),
            nn.Sequential(_block(middle, high, 3), nn.AdaptiveAvgPool2d(GRID), nn.Flatten()),
        )


def _block(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    # With an even kernel this padding makes the map one larger, and the pooling rounds it down again.
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    # ReLU after the pooling: the same values, on a quarter of the numbers.
    return nn.Sequential(convolution, nn.MaxPool2d(2), nn.ReLU(inplace=True), nn.BatchNorm2d(outputs))

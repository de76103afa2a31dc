"""The colour histogram: what a retrieval without any learning gets."""

import torch

BINS = (12, 4, 4)  # hue, saturation, value
HISTOGRAM = BINS[0] * BINS[1] * BINS[2]


def colour_histogram(images_N3HW: torch.Tensor) -> torch.Tensor:
    """uint8 RGB pictures -> (N, 192) float32: the square root of each picture's HSV histogram, of length 1.

    The inner product of two is the Bhattacharyya coefficient of the histograms.
    """
    x = images_N3HW.float() / 255
    value, at = x.max(1)
    spread = value - x.min(1).values
    safe = spread.clamp_min(1e-6)
    red, green, blue = x.unbind(1)
    hue = torch.stack([(green - blue) / safe % 6, (blue - red) / safe + 2, (red - green) / safe + 4], 1)
    hue = hue.gather(1, at[:, None]).squeeze(1) / 6
    hue = torch.where(spread > 0, hue, 0.0)
    saturation = torch.where(value > 0, spread / value.clamp_min(1e-6), 0.0)
    code = torch.zeros_like(hue, dtype=torch.int64)
    for channel, bins in zip((hue, saturation, value), BINS, strict=True):
        code = code * bins + (channel * bins).long().clamp(0, bins - 1)
    N = len(x)
    code = code.flatten(1) + torch.arange(N, device=x.device)[:, None] * HISTOGRAM
    counts = torch.bincount(code.flatten(), minlength=N * HISTOGRAM).view(N, HISTOGRAM).float()
    return torch.nn.functional.normalize(counts.sqrt(), dim=1)

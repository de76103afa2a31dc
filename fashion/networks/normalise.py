"""A network's own first step: from the values of pixels to those that its weights expect."""

import torch
from torch import nn

from fashion.networks.transform import Transform


class Normalise(nn.Module):
    """(N, 3, H, W) of values 0..255, uint8 or floats (as augmentation leaves them) -> (value / 255 - mean) / std a
    channel, in the same memory format; float32, or whatever the network has been converted to."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, transform: Transform):
        super().__init__()
        # Not persistent: the settings say them, and a file's fingerprint is over the weights it has always had.
        for name, values in (("mean", transform.mean), ("std", transform.std)):
            self.register_buffer(name, torch.tensor(values).mul_(255).view(1, 3, 1, 1), persistent=False)

    def forward(self, images_N3HW: torch.Tensor) -> torch.Tensor:
        return (images_N3HW.to(self.mean.dtype) - self.mean) / self.std

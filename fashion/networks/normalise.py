"""The one place where pictures become a network's input."""

import torch

# Per channel (red, green, blue) over ImageNet, of values in 0..1; what torchvision's published weights expect.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalise(images_N3HW: torch.Tensor) -> torch.Tensor:
    """float32 (N, 3, H, W) on the same device and in the same memory format, (value / 255 - MEAN) / STD a channel.

    Takes uint8 values 0..255, or floats on that same scale (as augmentation leaves them)."""
    images = images_N3HW.to(torch.float32)
    mean = images.new_tensor(MEAN).mul_(255).view(1, 3, 1, 1)
    std = images.new_tensor(STD).mul_(255).view(1, 3, 1, 1)
    return (images - mean) / std

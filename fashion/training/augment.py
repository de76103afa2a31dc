"""Augmentation of a whole batch at once on the training device, drawn from an explicit generator: of pictures, and of
the landmarks in them.

The draws are made on the CPU for the global batch and then cut to a worker's part, so they are the same for every
number of workers and on every device.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from fashion.domain import CUT_OFF, OCCLUDED, VISIBLE
from fashion.training.recipe import AugmentationSettings


@dataclass(frozen=True)
class Draws:
    """The random numbers of N pictures."""

    affine: torch.Tensor  # (N, 2, 3) maps output to input coordinates, both in [-1, 1]
    gain: torch.Tensor  # (N, 3) brightness and tint of each channel
    contrast: torch.Tensor  # (N,)
    saturation: torch.Tensor  # (N,)
    hole: torch.Tensor  # (N, 4) x0, y0, x1, y1 in [0, 1]; empty where nothing is erased

    def cut(self, index: torch.Tensor) -> "Draws":
        return Draws(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def followed_by(self, other: "Draws") -> "Draws":
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return Draws(*(torch.cat(pair) for pair in pairs))


def draw(count: int, settings: AugmentationSettings, generator: torch.Generator) -> Draws:
    """Draws for `count` pictures; the same generator state gives the same draws."""
    s = settings

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.rand((count, *shape), generator=generator) * (high - low) + low

    scale = uniform(1 - s.zoom, 1)
    aspect = torch.exp(uniform(-1, 1) * math.log1p(s.stretch))
    angle = uniform(-1, 1) * math.radians(s.rotation)
    mirror = 1 - 2 * ((uniform(0, 1) < 0.5) & s.flip).float()
    x, y = scale * aspect.clamp(max=1), scale / aspect.clamp(min=1)
    cos, sin = angle.cos(), angle.sin()
    shift_x, shift_y = uniform(-1, 1) * (1 - x), uniform(-1, 1) * (1 - y)
    affine = torch.stack([x * cos * mirror, -y * sin, shift_x, x * sin * mirror, y * cos, shift_y], 1).view(count, 2, 3)
    gain = (1 + uniform(-s.brightness, s.brightness, 1)) * (1 + uniform(-s.tint, s.tint, 3))
    contrast, saturation = 1 + uniform(-s.contrast, s.contrast), 1 + uniform(-s.saturation, s.saturation)
    area, shape = uniform(0.02, 0.15), torch.exp(uniform(-0.7, 0.7))
    width, height = (area * shape).sqrt(), (area / shape).sqrt()
    left, top = uniform(0, 1) * (1 - width), uniform(0, 1) * (1 - height)
    hole = torch.stack([left, top, left + width, top + height], 1) * (uniform(0, 1, 1) < s.erase)
    return Draws(affine, gain, contrast, saturation, hole)


def augment(images_N3HW: torch.Tensor, draws: Draws) -> torch.Tensor:
    """uint8 pictures -> float32 pictures of the same scale (0 to 255), varied by `draws`."""
    device = images_N3HW.device
    N, _, H, W = images_N3HW.shape
    affine, gain, contrast, saturation, hole = (
        getattr(draws, name).to(device, non_blocking=True) for name in draws.__dataclass_fields__
    )
    x = images_N3HW.float()
    x = F.grid_sample(
        x, F.affine_grid(affine, [N, 3, H, W], align_corners=False), padding_mode="reflection", align_corners=False
    )
    x = x * gain[:, :, None, None]
    # Contrast about each picture's mean and saturation about its grey, in one pass over the pixels each.
    mean = x.mean((1, 2, 3), keepdim=True)
    x = torch.lerp(mean, x, contrast[:, None, None, None])
    grey = (x[:, :1] * 0.299 + x[:, 1:2] * 0.587 + x[:, 2:] * 0.114).expand_as(x)
    x = torch.lerp(grey, x, saturation[:, None, None, None]).clamp(0, 255)
    across = (torch.arange(W, device=device) + 0.5) / W
    down = (torch.arange(H, device=device) + 0.5) / H
    inside_x = (across >= hole[:, :1]) & (across < hole[:, 2:3])
    inside_y = (down >= hole[:, 1:2]) & (down < hole[:, 3:])
    return x.masked_fill((inside_y[:, :, None] & inside_x[:, None, :])[:, None], 127.5)


_MIRRORED = (1, 0, 3, 2, 5, 4, 7, 6)  # a slot's place in a mirrored picture: left and right change


def move_landmarks(landmarks_N83: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Landmarks (visibility, x, y as fractions of the picture) as they are in the pictures varied by `draws`.

    One that leaves the picture is cut off, a visible one behind the erased rectangle is occluded. In a mirrored picture
    the left slots are the right ones. Visibilities below 0 stay (no such landmark, nothing known).
    """
    device = landmarks_N83.device
    affine_N23, hole_N4 = draws.affine.to(device), draws.hole.to(device)
    a, b, s, c, d, t = affine_N23.flatten(1).unsqueeze(2).unbind(1)  # (N, 1) each
    determinant_N1 = a * d - b * c
    visibility_N8, x_N8, y_N8 = landmarks_N83.unbind(2)
    # The affine map takes places of the new picture, in -1..1, to those of the old; here it is undone.
    u_N8, v_N8 = 2 * x_N8 - 1 - s, 2 * y_N8 - 1 - t
    x_N8 = ((d * u_N8 - b * v_N8) / determinant_N1 + 1) / 2
    y_N8 = ((a * v_N8 - c * u_N8) / determinant_N1 + 1) / 2
    outside_N8 = (x_N8 < 0) | (x_N8 >= 1) | (y_N8 < 0) | (y_N8 >= 1)
    x0, y0, x1, y1 = hole_N4.unsqueeze(2).unbind(1)
    hidden_N8 = (x_N8 >= x0) & (x_N8 < x1) & (y_N8 >= y0) & (y_N8 < y1)
    visibility_N8 = visibility_N8.masked_fill((visibility_N8 == VISIBLE) & hidden_N8, OCCLUDED)
    visibility_N8 = visibility_N8.masked_fill((visibility_N8 >= 0) & outside_N8, CUT_OFF)
    moved_N83 = torch.stack([visibility_N8, x_N8, y_N8], 2)
    return torch.where((determinant_N1 < 0)[..., None], moved_N83[:, _MIRRORED], moved_N83)

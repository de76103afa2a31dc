"""Embedded colour profiles: pixels in Display P3, Adobe RGB and their like become sRGB, which networks are trained on."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_SAME = 2  # levels of 255; a profile that changes no colour by more is sRGB under another name
_LATTICE = np.stack(np.meshgrid(*[np.linspace(0, 255, 6).astype(np.uint8)] * 3), -1).reshape(1, -1, 3)


def to_srgb(pixels_HWC: np.ndarray, profile: bytes | None) -> np.ndarray:
    """uint8 (H, W, 3) in the colours of an ICC profile, in sRGB. No profile, a broken one and one that is not of RGB
    leave them as they are."""
    if not profile or profile[16:20] != b"RGB ":  # ICC.1:2022, 7.2: the data colour space
        return pixels_HWC
    transform = _transform(profile)
    return pixels_HWC if transform is None else _apply(transform, pixels_HWC)


@lru_cache(32)
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """None where it is broken or changes nothing."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "RGB", "RGB")
        changed = _apply(transform, _LATTICE)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return None if np.abs(changed.astype(int) - _LATTICE).max() <= _SAME else transform


def _apply(transform: ImageCms.ImageCmsTransform, pixels_HWC: np.ndarray) -> np.ndarray:
    return np.array(ImageCms.applyTransform(Image.fromarray(pixels_HWC), transform))

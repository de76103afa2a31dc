"""Pictures for the tests of decoding, and what Pillow makes of them."""

import io

import numpy as np
import pillow_heif
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()  # here for the files that the tests write; the library does it when one comes by

LOSSLESS = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "BMP": {}, "GIF": {}, "PPM": {}, "JPEG2000": {}}
LOSSY = {"JPEG": {"quality": 95}, "AVIF": {"quality": 95}, "HEIF": {"quality": 95}}


def garment(width=90, height=120, seed=0, cells=(4, 3)):
    """Smooth, from so many rows and columns of colours, with an edge, and not alike when it is turned: RGB, so that JPEG
    changes little of it."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (*cells, 3), np.uint8)).resize((width, height), Image.BICUBIC)
    small.paste((200, 30, 40), (width // 4, height // 3, width // 2, height // 2))
    return small


def encode(image, form="JPEG", **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def upright(data):
    """As Pillow opens and turns it, RGB."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def by_pillow(data):
    """The oracle: the upright picture in RGB, (3, H, W)."""
    return np.asarray(upright(data)).transpose(2, 0, 1)


def distances(a, b):
    """Of each value of two uint8 pictures, in levels."""
    assert a.shape == b.shape and a.dtype == b.dtype == np.uint8
    return np.abs(a.astype(int) - b)


def difference(a, b):
    """The largest of them."""
    return distances(a, b).max()

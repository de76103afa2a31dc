"""Picture bytes -> pixels: upright RGB, whatever the file's format, mode and orientation.

JPEGs are decoded by torchvision, about twice as fast a core, and by Pillow where torchvision refuses them; every other
format by Pillow. Both ways give the same pixels: the EXIF orientation is applied here, to either, and the resizing is
the same. Headers are read by Pillow too, but for those of plain JPEGs: that alone took a fifth of a decoding.
"""

import io
import warnings

import numpy as np
import torch
from PIL import ExifTags, Image

from fashion.data.boxes import LEAST_SIDE, usable_box
from fashion.data.jpeg import decode_jpeg, plain_size

# Pillow warns of every broken EXIF block; such a picture is upright, and there are some in any million.
warnings.filterwarnings("ignore", "Corrupt EXIF data", UserWarning)

MOST_PIXELS = 80_000_000  # 240 MB decoded; more is taken for a decompression bomb

# EXIF orientation -> whether rows and columns are swapped, then which axes of (3, H, W) are reversed.
_TURNS = {
    2: (False, (2,)), 3: (False, (1, 2)), 4: (False, (1,)),
    5: (True, ()), 6: (True, (2,)), 7: (True, (1, 2)), 8: (True, (1,)),
}  # fmt: skip


class BadPicture(ValueError):
    """A picture that cannot be used; the message is the reason."""


def check(data: bytes) -> tuple[int, int]:
    """(width, height) of the upright picture, from its header alone, so that a truncated one may still pass.

    Raises BadPicture for what is no picture, has a side under LEAST_SIDE or more than MOST_PIXELS pixels.
    """
    image = _open(data)
    return image.size[::-1] if _TURNS.get(_orientation(image), (False,))[0] else image.size


def decode(data: bytes | memoryview, size: tuple[int, int] | None = None, box=None) -> np.ndarray:
    """The picture as uint8 (3, H, W), RGB, contiguous.

    `box` (x1, y1, x2, y2, in pixels of the upright picture) is cut out, or the whole picture taken where nothing usable
    is left of it; `size` (height, width) is what that is resized to, bilinear and antialiased. Raises BadPicture, also
    for a truncated file.
    """
    x_CHW = None
    if (plain := plain_size(data)) and min(plain) >= LEAST_SIDE and plain[0] * plain[1] <= MOST_PIXELS:
        x_CHW = decode_fast(data)
    if x_CHW is None:
        x_CHW = _decode_with_header(data)
    cut = usable_box(box, x_CHW.shape[2], x_CHW.shape[1]) if box is not None else None
    if cut is not None:
        x_CHW = x_CHW[:, cut[1] : cut[3], cut[0] : cut[2]]
    if size is not None and tuple(x_CHW.shape[1:]) != tuple(size):
        x_CHW = torch.nn.functional.interpolate(x_CHW[None], size=tuple(size), mode="bilinear", antialias=True)[0]
    return np.ascontiguousarray(x_CHW.numpy())


def _decode_with_header(data: bytes | memoryview) -> torch.Tensor:
    """Any picture as uint8 (3, H, W), upright. Raises BadPicture."""
    image = _open(data)
    x_CHW = None
    if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
        x_CHW = decode_fast(data)
    if x_CHW is None:
        x_CHW = decode_any(image)
    swapped, turned = _TURNS.get(_orientation(image), (False, ()))
    if swapped:
        x_CHW = x_CHW.transpose(1, 2)
    return x_CHW.flip(turned) if turned else x_CHW


def decode_fast(data: bytes | memoryview) -> torch.Tensor | None:
    """A JPEG as uint8 (3, H, W), as stored; None where torchvision refuses it, which it also does for sound ones."""
    try:
        return decode_jpeg(data)
    except RuntimeError:
        return None


def decode_any(image: Image.Image) -> torch.Tensor:
    """An opened picture as uint8 (3, H, W), as stored; what is transparent becomes white. Raises BadPicture."""
    try:
        if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow's conversion would clip
            image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        pixels_HWC = np.array(image.convert("RGB"))
    except MemoryError:
        raise
    except Exception as fault:  # whatever a decoder makes of broken data: OSError, SyntaxError, struct.error, ...
        raise BadPicture(_reason(fault)) from fault
    return torch.from_numpy(pixels_HWC).permute(2, 0, 1)


def _open(data: bytes | memoryview) -> Image.Image:
    """The picture with its header read and no pixels yet. Raises BadPicture."""
    if not data:
        raise BadPicture("empty file")
    try:
        image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError:
        raise BadPicture(f"more than {MOST_PIXELS} pixels") from None
    except Image.UnidentifiedImageError:
        raise BadPicture("not a picture, or one cut off in its header") from None
    except Exception as fault:
        raise BadPicture(_reason(fault)) from fault
    if min(image.size) < LEAST_SIDE:
        raise BadPicture(f"too small: {image.width} x {image.height} pixels, expected at least {LEAST_SIDE} a side")
    if image.width * image.height > MOST_PIXELS:
        raise BadPicture(f"more than {MOST_PIXELS} pixels")
    return image


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none or it cannot be read."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a broken EXIF block does not make a picture unusable
        return 1


def _reason(fault: Exception) -> str:
    text = str(fault).splitlines()[0] if str(fault) else ""
    if "truncated" in text.lower():
        return "truncated"
    return f"cannot be decoded: {text or type(fault).__name__}"

"""Picture bytes -> pixels: upright sRGB, whatever the file's format, mode, orientation and colour profile.

JPEGs are decoded by libjpeg-turbo, at the smallest half, quarter or eighth that still has 1.75 times the pixels asked
for each way; where it refuses one, and for every other format, by Pillow. Then both are resized alike.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
from PIL import Image

from fashion.data.boxes import LEAST_SIDE, central_part, shown_part, size_within
from fashion.data.codecs import (
    MOST_PIXELS,
    SCALES,
    BadPicture,
    decode_jpeg,
    is_jpeg,
    is_scan_bomb,
    open_picture,
    orientation,
    pixels_of,
    plain_size,
    to_srgb,
)

# How near the size asked for libjpeg may go. Against decoding all and resizing that, photographs differ by 1.4 of 255
# levels (mean) where it comes within 1.1 times, 0.9 at 1.5, 0.6 at 1.75, 0.5 at 2. At 1.5 the stripes of a shirt still
# turned into a moire that changed its embedding; and at 2 pictures of 300 pixels would be decoded whole for 64.
_SPARE = 1.75
TRANSFORM = "scaled-1.75"  # how pixels are made: a part of every identity that depends on them
GREY = 127  # of the padding: next to nothing once mean and deviation are taken out, where black or white were an edge

# EXIF orientation -> whether rows and columns are swapped, then which axes of (H, W, 3) are reversed.
_TURNS = {
    2: (False, (1,)), 3: (False, (0, 1)), 4: (False, (0,)),
    5: (True, ()), 6: (True, (1,)), 7: (True, (0, 1)), 8: (True, (0,)),
}  # fmt: skip
_TORCH = {"bilinear": "_upsample_bilinear2d_aa", "bicubic": "_upsample_bicubic2d_aa"}
_PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class _Picture:
    """A picture whose header is read: its `size` (width, height) as stored, and what makes it upright and sRGB."""

    def __init__(self, data: bytes):
        if not data:
            raise BadPicture("empty file")
        self.data = data
        self.image: Image.Image | None = None  # of what simplejpeg does not read
        self.swapped = False
        self.turned: tuple[int, ...] = ()
        self.profile: bytes | None = None
        self.jpeg = is_jpeg(data)
        if self.jpeg and is_scan_bomb(data):
            raise BadPicture("a JPEG of more scans than any encoder writes")
        plain = plain_size(data) if self.jpeg else None
        if plain is None:
            self.image = open_picture(data)
            self.size = self.image.size
        else:
            self.size = plain
        if min(self.size) < LEAST_SIDE:
            raise BadPicture(f"too small: a side under {LEAST_SIDE} pixels")
        if self.size[0] * self.size[1] > MOST_PIXELS:
            raise BadPicture(f"more than {MOST_PIXELS} pixels")
        if self.image is not None:
            self.swapped, self.turned = _TURNS.get(orientation(self.image), (False, ()))
            self.profile = self.image.info.get("icc_profile")

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.size[::-1] if self.swapped else self.size

    def pixels(self, scale: int) -> np.ndarray:
        """uint8 (H, W, 3), upright; of JPEGs a `scale`th of each side, rounded up. Raises BadPicture."""
        x_HWC = self._stored(scale)
        if not (self.swapped or self.turned):
            return x_HWC
        x_HW = np.ascontiguousarray(x_HWC).view("V3")[..., 0]  # pixels are moved three times as fast as bytes
        x_HW = np.ascontiguousarray(np.flip(x_HW.T if self.swapped else x_HW, self.turned))
        return x_HW.view(np.uint8).reshape(*x_HW.shape, 3)

    def lead(self, scale: int) -> tuple[int, int]:
        """Columns and rows, of the whole size, that `pixels` at this scale has before the picture's first: a side that
        the scale does not divide ends within a pixel, and turned round it begins so."""
        width, height = self.upright_size
        return -width % scale if 1 in self.turned else 0, -height % scale if 0 in self.turned else 0

    def _stored(self, scale: int) -> np.ndarray:
        if self.jpeg and (self.image is None or self.image.mode in ("RGB", "L")):
            x_HWC = decode_jpeg(self.data, self.size, scale)
            if x_HWC is not None:
                return x_HWC
        image = self.image or open_picture(self.data)
        if self.jpeg:
            image.draft(None, (self.size[0] // scale, self.size[1] // scale))
        return pixels_of(image)


def check(data: bytes | memoryview) -> tuple[int, int]:
    """(width, height) of the upright picture, from its header alone, so that a truncated one may still pass.

    Raises BadPicture for what is no picture, has a side under LEAST_SIDE or more than MOST_PIXELS pixels.
    """
    return _Picture(bytes(data)).upright_size


def decode(
    data: bytes | memoryview,
    size: tuple[int, int] | None = None,
    box: Sequence[float] | None = None,
    *,
    fit: str = "stretch",
    interpolation: str = "bilinear",
) -> np.ndarray:
    """The picture as uint8 (3, H, W), RGB, contiguous.

    `box` (x1, y1, x2, y2, in pixels of the upright picture) is cut out, or the whole picture taken where nothing usable
    is left of it; `size` (height, width) is what that is resized to, antialiased, by `interpolation` (bilinear or
    bicubic). `fit`: `stretch` to the size whatever the shape; `pad`: shape kept, in the middle of a grey picture;
    `crop`: shape kept, the middle of it. Raises BadPicture, also for a truncated file.
    """
    picture = _Picture(bytes(data))
    shown = shown_part(box, *picture.upright_size)
    if size is None:
        x1, y1, x2, y2 = shown
        return _channels_first(to_srgb(picture.pixels(1)[y1:y2, x1:x2], picture.profile))
    part = central_part(shown, size) if fit == "crop" else shown
    inner = size_within(shown, size) if fit == "pad" else size
    x_3HW = _channels_first(to_srgb(_resized(picture, part, inner, interpolation), picture.profile))
    return _padded(x_3HW, size) if fit == "pad" else x_3HW


def shrunk(data: bytes | memoryview, side: int) -> np.ndarray:
    """The picture as uint8 (3, H, W), at most `side` pixels high and wide. Raises BadPicture."""
    width, height = check(data)
    shrink = min(1.0, side / max(width, height))
    return decode(data, (max(1, round(height * shrink)), max(1, round(width * shrink))))


def _resized(picture: _Picture, part: Sequence[float], size: tuple[int, int], interpolation: str) -> np.ndarray:
    """`part` (x1, y1, x2, y2) of the picture at `size` (height, width): uint8 (H, W, 3)."""
    x1, y1, x2, y2 = part
    wide, high = x2 - x1, y2 - y1
    scale = next((k for k in SCALES if min(high / size[0], wide / size[1]) >= k * _SPARE), 1) if picture.jpeg else 1
    x_HWC, (left, top) = picture.pixels(scale), picture.lead(scale)
    x1, y1, x2, y2 = (x1 + left) / scale, (y1 + top) / scale, (x2 + left) / scale, (y2 + top) / scale
    if x1 % 1 or y1 % 1:  # it begins within a pixel, which only Pillow can; elsewhere torch is twice as fast
        return np.array(Image.fromarray(x_HWC).resize(size[::-1], _PILLOW[interpolation], (x1, y1, x2, y2)))
    x_HWC = x_HWC[int(y1) : ceil(y2), int(x1) : ceil(x2)]
    if x_HWC.shape[:2] == size:
        return x_HWC
    import torch  # here: much imports this file that never resizes

    # The last pixel of a scaled picture may stand for a part of one. Told the true factors, the resizing keeps its
    # place; given the two sizes alone it shifts by up to half a pixel, which is a mean difference of 1.6 levels, not 0.5.
    factors = size[0] * scale / high, size[1] * scale / wide
    x_1CHW = torch.from_numpy(x_HWC[None].transpose(0, 3, 1, 2))
    resize = getattr(torch.ops.aten, _TORCH[interpolation])
    return resize(x_1CHW, size, False, *factors).numpy()[0].transpose(1, 2, 0)


def _channels_first(x_HWC: np.ndarray) -> np.ndarray:
    """(3, H, W), contiguous and its own."""
    return np.ascontiguousarray(x_HWC.transpose(2, 0, 1))


def _padded(x_3HW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    framed = np.full((3, *size), GREY, np.uint8)
    top, left = (size[0] - x_3HW.shape[1]) // 2, (size[1] - x_3HW.shape[2]) // 2
    framed[:, top : top + x_3HW.shape[1], left : left + x_3HW.shape[2]] = x_3HW
    return framed

"""Picture bytes -> pixels: upright sRGB, whatever the file's format, mode, orientation and colour profile.

JPEGs are decoded by libjpeg-turbo, at the smallest half, quarter or eighth that still has 1.5 times the pixels asked
for each way; where it refuses one, and for every other format, by Pillow. Then both are resized alike.
"""

import io
import re
import warnings
from functools import cache

import numpy as np
import torch
from PIL import ExifTags, Image

from fashion.data.boxes import LEAST_SIDE, Box, central_part, shown_part, size_within
from fashion.data.colour import to_srgb
from fashion.data.jpeg import SCALES, decode_jpeg, is_jpeg, is_scan_bomb, plain_size

# Pillow warns of every broken EXIF block; such a picture is upright, and there are some in any million. And of pictures
# that it finds large, where the limit is ours.
warnings.filterwarnings("ignore", "Corrupt EXIF data", UserWarning)
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

MOST_PIXELS = 80_000_000  # 240 MB decoded; more is taken for a decompression bomb
# Against decoding all and resizing that: at 1 the mean difference is up to 1.4 of 255 levels and the largest 35, at 1.5
# 0.7 and 15, at 2 0.5 and 14; and at 2 pictures of 300 pixels are decoded whole for 64.
_SPARE = 1.5
TRANSFORM = "scaled-1.5"  # how pixels are made: a part of every identity that depends on them
GREY = 127  # of the padding: next to nothing once mean and deviation are taken out, where black or white were an edge

# Pillow's formats that photographs come in. Others are not tried: some run programs (EPS), some take anything (TGA).
_FORMATS = ("PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")
_AVIF = (b"avif", b"avis")
ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".heic", ".heif", ".heics", ".hif", ".avif",
    ".avifs", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".jp2", ".j2k", ".jpx", ".jpf", ".ppm", ".pgm", ".pnm", ".ico",
)  # fmt: skip

# EXIF orientation -> whether rows and columns are swapped, then which axes of (3, H, W) are reversed.
_TURNS = {
    2: (False, (2,)), 3: (False, (1, 2)), 4: (False, (1,)),
    5: (True, ()), 6: (True, (2,)), 7: (True, (1, 2)), 8: (True, (1,)),
}  # fmt: skip
_TORCH = {"bilinear": torch.ops.aten._upsample_bilinear2d_aa, "bicubic": torch.ops.aten._upsample_bicubic2d_aa}
_PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class BadPicture(ValueError):
    """A picture that cannot be used; the message is the reason, the same for all pictures with that fault."""


class _Picture:
    """A picture whose header is read: its `size` (width, height) as stored, and what makes it upright and sRGB."""

    def __init__(self, data: bytes):
        if not data:
            raise BadPicture("empty file")
        self.data, self.image = data, None
        self.swapped, self.turned, self.profile = False, (), None
        self.jpeg = is_jpeg(data)
        if self.jpeg and is_scan_bomb(data):
            raise BadPicture("a JPEG of more scans than any encoder writes")
        plain = plain_size(data) if self.jpeg else None
        if plain is None:
            self.image = _open(data)
        self.size = plain or self.image.size
        if min(self.size) < LEAST_SIDE:
            raise BadPicture(f"too small: a side under {LEAST_SIDE} pixels")
        if self.size[0] * self.size[1] > MOST_PIXELS:
            raise BadPicture(f"more than {MOST_PIXELS} pixels")
        if plain is None:
            self.swapped, self.turned = _TURNS.get(_orientation(self.image), (False, ()))
            self.profile = self.image.info.get("icc_profile")

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.size[::-1] if self.swapped else self.size

    def pixels(self, scale: int) -> np.ndarray:
        """uint8 (H, W, 3), as stored; of JPEGs a `scale`th of each side, rounded up."""
        if self.jpeg and (self.image is None or self.image.mode in ("RGB", "L")):
            x_HWC = decode_jpeg(self.data, self.size, scale)
            if x_HWC is not None:
                return x_HWC
        image = self.image or _open(self.data)
        if self.jpeg:
            image.draft(None, (self.size[0] // scale, self.size[1] // scale))
        return _by_pillow(image)

    def stored(self, part: Box) -> Box:
        """A part of the upright picture, in the picture as stored."""
        (width, height), (x1, y1, x2, y2) = self.upright_size, part
        if 2 in self.turned:
            x1, x2 = width - x2, width - x1
        if 1 in self.turned:
            y1, y2 = height - y2, height - y1
        return (y1, x1, y2, x2) if self.swapped else (x1, y1, x2, y2)


def check(data: bytes) -> tuple[int, int]:
    """(width, height) of the upright picture, from its header alone, so that a truncated one may still pass.

    Raises BadPicture for what is no picture, has a side under LEAST_SIDE or more than MOST_PIXELS pixels.
    """
    return _Picture(data).upright_size


def decode(
    data: bytes | memoryview,
    size: tuple[int, int] | None = None,
    box=None,
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
    part = shown_part(box, *picture.upright_size)
    if size is None:
        x1, y1, x2, y2 = picture.stored(part)
        return _upright(to_srgb(picture.pixels(1)[y1:y2, x1:x2], picture.profile), picture)
    if fit == "crop":
        part = central_part(part, size)
    inner = size_within(part, size) if fit == "pad" else tuple(size)
    x_HWC = _resized(picture, part, inner[::-1] if picture.swapped else inner, interpolation)
    x_3HW = _upright(to_srgb(x_HWC, picture.profile), picture)
    return x_3HW if fit != "pad" else _padded(x_3HW, size)


def shrunk(data: bytes | memoryview, side: int) -> np.ndarray:
    """The picture as uint8 (3, H, W), at most `side` pixels high and wide. Raises BadPicture."""
    width, height = check(data)
    shrink = min(1.0, side / max(width, height))
    return decode(data, (max(1, round(height * shrink)), max(1, round(width * shrink))))


def _resized(picture: _Picture, part: Box, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """`part` of the upright picture, as stored, at `size` (height, width) of the picture as stored: uint8 (H, W, 3)."""
    x1, y1, x2, y2 = picture.stored(part)
    wide, high = x2 - x1, y2 - y1
    scale = next((k for k in SCALES if min(high / size[0], wide / size[1]) >= k * _SPARE), 1) if picture.jpeg else 1
    x_HWC = picture.pixels(scale)
    if x1 % scale or y1 % scale:  # it begins within a pixel, which only Pillow can; elsewhere torch is twice as fast
        exact = tuple(edge / scale for edge in (x1, y1, x2, y2))
        return np.asarray(Image.fromarray(x_HWC).resize(size[::-1], _PILLOW[interpolation], exact))
    x_HWC = x_HWC[y1 // scale : -(-y2 // scale), x1 // scale : -(-x2 // scale)]
    if x_HWC.shape[:2] == size:
        return x_HWC
    # The last pixel of a scaled picture may stand for a part of one. Told the true factors, the resizing keeps its
    # place; given the two sizes alone it shifts by up to half a pixel, which is a mean difference of 1.6 levels, not 0.5.
    factors = size[0] * scale / high, size[1] * scale / wide
    x_1CHW = _TORCH[interpolation](torch.from_numpy(x_HWC).permute(2, 0, 1)[None], list(size), False, *factors)
    return x_1CHW[0].permute(1, 2, 0).numpy()


def _upright(x_HWC: np.ndarray, picture: _Picture) -> np.ndarray:
    """uint8 (H, W, 3) as stored -> (3, H, W), contiguous and its own."""
    x_3HW = x_HWC.transpose(2, 0, 1)
    if picture.swapped:
        x_3HW = x_3HW.transpose(0, 2, 1)
    return np.ascontiguousarray(np.flip(x_3HW, picture.turned) if picture.turned else x_3HW)


def _padded(x_3HW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    framed = np.full((3, *size), GREY, np.uint8)
    top, left = (size[0] - x_3HW.shape[1]) // 2, (size[1] - x_3HW.shape[2]) // 2
    framed[:, top : top + x_3HW.shape[1], left : left + x_3HW.shape[2]] = x_3HW
    return framed


def _by_pillow(image: Image.Image) -> np.ndarray:
    """An opened picture as uint8 (H, W, 3); what is transparent becomes white. Raises BadPicture."""
    if image.mode == "F":
        raise BadPicture("pixels are floating-point numbers; expected 8 or 16 bits")
    try:
        if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow's conversion would clip
            image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return np.array(image.convert("RGB"))
    except MemoryError:
        raise
    except Exception as fault:  # whatever a decoder makes of broken data: OSError, SyntaxError, struct.error, ...
        raise BadPicture(_reason(fault)) from fault


def _open(data: bytes) -> Image.Image:
    """The picture with its header read and no pixels yet. Raises BadPicture."""
    try:
        brand = data[8:12] if data[4:8] == b"ftyp" else None
        return Image.open(io.BytesIO(data), formats=["JPEG"] if is_jpeg(data) else _formats(brand))
    except Image.DecompressionBombError:
        raise BadPicture(f"more than {MOST_PIXELS} pixels") from None
    except Image.UnidentifiedImageError:
        raise BadPicture("not a picture, or one cut off in its header") from None
    except Exception as fault:
        raise BadPicture(_reason(fault)) from fault


@cache
def _formats(brand: bytes | None) -> list[str]:
    """What Pillow is to try, by the brand of an ISO base media file. pillow-heif takes a while to import, so only a file
    that may be its own brings it."""
    Image.init()
    names = _FORMATS
    if brand:
        names = ("AVIF",)
        if brand not in _AVIF:
            from pillow_heif import register_heif_opener

            register_heif_opener()
            names = ("AVIF", "HEIF")
    return [name for name in names if name in Image.OPEN]


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, that is still to be applied; 1 (upright) where there is none or it cannot be read."""
    if image.format == "TIFF":
        return 1  # Pillow turns these itself, and gives the size that they then have
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a broken EXIF block does not make a picture unusable
        return 1


def _reason(fault: Exception) -> str:
    text = str(fault).splitlines()[0] if str(fault) else ""
    if "truncated" in text.lower():
        return "truncated"
    text = re.sub(r"0x[0-9a-f]+|\d+", "#", text)  # offsets and sizes, of which each picture has its own
    return f"cannot be decoded: {text or type(fault).__name__}"

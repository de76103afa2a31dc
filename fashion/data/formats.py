"""The formats that pictures come in, by Pillow: what is opened, what its pixels are, and why it cannot be used."""

import io
import re
import warnings
from functools import cache

import numpy as np
from PIL import ExifTags, Image

from fashion.data.jpeg import is_jpeg

# Pillow warns of broken EXIF blocks and of much else that leaves a picture usable, and there are some in any million;
# what does not is said by an exception.
warnings.filterwarnings("ignore", module=r"PIL\.")

MOST_PIXELS = 80_000_000  # 240 MB decoded; more is taken for a decompression bomb

# Pillow's formats that photographs come in. Others are not tried: some run programs (EPS), some take anything (TGA).
_FORMATS = ("PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")
_AVIF = (b"avif", b"avis")
ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".heic", ".heif", ".heics", ".heifs", ".hif",
    ".avif", ".avifs", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".jp2", ".j2k", ".jpx", ".jpf", ".ppm", ".pgm", ".pbm",
    ".pnm", ".ico",
)  # fmt: skip


class BadPicture(ValueError):
    """A picture that cannot be used; the message is the reason, the same for all pictures with that fault."""


def pixels_of(image: Image.Image) -> np.ndarray:
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


def open_picture(data: bytes) -> Image.Image:
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


def orientation(image: Image.Image) -> int:
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
    text = re.sub(
        r"b?'[^']*'|0x[0-9a-f]+|\d+", "#", text
    )  # bytes, offsets and sizes, of which each picture has its own
    return f"cannot be decoded: {text or type(fault).__name__}"

"""What is in a picture's file: its format, its pixels as stored and their colours; and JPEG files anew.

JPEGs go through libjpeg-turbo (`simplejpeg`), which shrinks a picture inside its transform: half, quarter and eighth cost a
part of decoding all of it. All else goes through Pillow. Pixels in Display P3, Adobe RGB and their like become sRGB, which
networks are trained on.
"""

import io
import re
import warnings
from functools import cache, lru_cache

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageCms

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

START, SCAN = b"\xff\xd8\xff", b"\xff\xda"
SCALES = (8, 4, 2)  # libjpeg's other eighths have no vector code, and take longer than the whole picture
# What names a segment that may turn the picture or give its colours another meaning: its header is for Pillow to read.
_TELLING = (b"Exif\0", b"ns.adobe.com/xap", b"ICC_PROFILE\0")
_COLOURS = ("Gray", "YCbCr", "RGB")
# A progressive picture's scans may be a few bytes each, and each of them passes over all pixels. Encoders write about
# ten; what follows a picture, such as a phone's film, holds the same two bytes by chance, one in 64 kB.
_MOST_SCANS, _BYTES_A_SCAN = 100, 16_384

_SAME = 2  # levels of 255; a profile that changes no colour by more is sRGB under another name
_LATTICE = np.stack(np.meshgrid(*[np.linspace(0, 255, 6).astype(np.uint8)] * 3), -1).reshape(1, -1, 3)


class BadPicture(ValueError):
    """A picture that cannot be used; the message is the reason, the same for all pictures with that fault."""


def is_jpeg(data: bytes) -> bool:
    return data[:3] == START


def is_scan_bomb(data: bytes) -> bool:
    """Whether a JPEG has more scans than its length explains."""
    x = np.frombuffer(data, np.uint8)
    scans = int(np.count_nonzero((x[1:] == SCAN[1]) & (x[:-1] == SCAN[0])))
    return scans > _MOST_SCANS + len(data) // _BYTES_A_SCAN


def plain_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG that is upright and grey or sRGB as it stands; None where Pillow has to look."""
    head = data[: data.find(SCAN)]
    if any(name in head for name in _TELLING):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return (width, height) if colours in _COLOURS else None


def decode_jpeg(data: bytes, size: tuple[int, int], scale: int = 1) -> np.ndarray | None:
    """A JPEG of `size` (width, height), as stored, at a `scale`th of it (1, 2, 4, 8; rounded up): uint8 (H, W, 3), RGB.

    None where libjpeg finds fault with it, which it also does with pictures that Pillow shows.
    """
    across, down = (-(-side // scale) for side in size)
    try:
        x_HWC = simplejpeg.decode_jpeg(data, "RGB", min_height=down, min_width=across, min_factor=scale)
    except ValueError:
        return None
    return x_HWC if x_HWC.shape[:2] == (down, across) else None


def encode_jpeg(pixels_3HW: np.ndarray, *, quality: int) -> bytes:
    """uint8 (3, H, W) as a JPEG file."""
    pixels_HWC = np.ascontiguousarray(pixels_3HW.transpose(1, 2, 0))
    return simplejpeg.encode_jpeg(pixels_HWC, quality=quality, colorsubsampling="420")


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
    names: tuple[str, ...] = _FORMATS
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

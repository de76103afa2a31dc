"""JPEG files by libjpeg-turbo (`simplejpeg`), which shrinks a picture inside its transform: half, quarter and eighth
cost a part of decoding all of it."""

import numpy as np
import simplejpeg

START, SCAN = b"\xff\xd8\xff", b"\xff\xda"
SCALES = (8, 4, 2)  # libjpeg's other eighths have no vector code, and take longer than the whole picture
# What names a segment that may turn the picture or give its colours another meaning: its header is for Pillow to read.
_TELLING = (b"Exif\0", b"ns.adobe.com/xap", b"ICC_PROFILE\0")
_COLOURS = ("Gray", "YCbCr", "RGB")
# A progressive picture's scans may be a few bytes each, and each of them passes over all pixels. Encoders write about
# ten; what follows a picture, such as a phone's film, holds the same two bytes by chance, one in 64 kB.
_MOST_SCANS, _BYTES_A_SCAN = 100, 16_384


def is_jpeg(data: bytes) -> bool:
    return data[:3] == START


def is_scan_bomb(data: bytes) -> bool:
    """Whether a JPEG has more scans than its length explains."""
    x = np.frombuffer(data, np.uint8)
    scans = np.count_nonzero((x[1:] == SCAN[1]) & (x[:-1] == SCAN[0]))
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

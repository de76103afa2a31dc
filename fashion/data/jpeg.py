"""torchvision's JPEG decoder and encoder, without `import torchvision`.

That import brings every network of torchvision and torch's compiler: six seconds a process, and a job starts many.
The two operators are all that pictures need, so their library is loaded by itself.
"""

import importlib.util
from pathlib import Path

import torch

_RGB = 3  # torchvision's ImageReadMode.RGB
_START = b"\xff\xd8\xff"
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_EXIF = 0xE1


def _load() -> None:
    for folder in importlib.util.find_spec("torchvision").submodule_search_locations:
        for library in [*Path(folder).glob("image*.so"), *Path(folder).glob("image*.pyd")]:
            torch.ops.load_library(str(library))
            return
    import torchvision  # noqa: F401  # another layout: let the package find its own library


_load()


def plain_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """(width, height) of a JPEG of 8-bit grey or colour (ITU-T T.81, annex B) without EXIF or XMP, which may turn it.

    None for anything else, be it no JPEG at all.
    """
    if data[:3] != _START:
        return None
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _FRAMES:
            height, width = (int.from_bytes(data[at + i : at + i + 2], "big") for i in (5, 7))
            return (width, height) if data[at + 4] == 8 and data[at + 9] in (1, 3) else None
        # APP0 to APP15, tables, restart interval, comment: segments with a length, to be passed over.
        if marker == _EXIF or not (0xE0 <= marker <= 0xEF or marker in (0xC4, 0xDB, 0xDD, 0xFE)) or length < 2:
            return None
        at += 2 + length
    return None


def decode_jpeg(data: bytes | memoryview) -> torch.Tensor:
    """A JPEG as uint8 (3, H, W), RGB, as stored. Raises RuntimeError where libjpeg refuses it."""
    return torch.ops.image.decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), _RGB, False)


def encode_jpeg(pixels_3HW: torch.Tensor, *, quality: int) -> bytes:
    """uint8 (3, H, W) as a JPEG file."""
    return torch.ops.image.encode_jpeg(pixels_3HW.contiguous(), quality).numpy().tobytes()

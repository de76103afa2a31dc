"""torchvision's JPEG decoder and encoder, without `import torchvision`.

That import brings every network of torchvision and torch's compiler: six seconds a process, and a job starts many.
The two operators are all that pictures need, so their library is loaded by itself.
"""

import importlib.util
from pathlib import Path

import torch

_RGB = 3  # torchvision's ImageReadMode.RGB


def _load() -> None:
    for folder in importlib.util.find_spec("torchvision").submodule_search_locations:
        for library in [*Path(folder).glob("image*.so"), *Path(folder).glob("image*.pyd")]:
            torch.ops.load_library(str(library))
            return
    import torchvision  # noqa: F401  # another layout: let the package find its own library


_load()


def decode_jpeg(data: bytes) -> torch.Tensor:
    """A JPEG as uint8 (3, H, W), RGB, as stored. Raises RuntimeError where libjpeg refuses it."""
    return torch.ops.image.decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), _RGB, False)


def encode_jpeg(pixels_3HW: torch.Tensor, *, quality: int) -> bytes:
    """uint8 (3, H, W) as a JPEG file."""
    return torch.ops.image.encode_jpeg(pixels_3HW.contiguous(), quality).numpy().tobytes()

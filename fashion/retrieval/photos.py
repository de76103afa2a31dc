"""Pictures for a search: a customer's photos from files, and the pictures of what was found from the item table."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fashion.data.boxes import Box, scale_box, usable_box
from fashion.data.codecs import ENDINGS
from fashion.data.decode import BadPicture, check, decode, shrunk
from fashion.data.rows import flatten
from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.retrieval.lookup import Hit

FRAME = (214, 39, 40)


def photo_files(names: Iterable[str]) -> tuple[list[Path], list[Path]]:
    """The files, and the pictures (by their endings) in the folders; and what else lies in the folders, but for hidden
    files: Macs leave a `._photo.jpg` beside photos, which is none. Raises InputError where there are no pictures."""
    files, skipped = [], []
    for name in names:
        path = Path(name).expanduser()
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if not file.name.startswith("."))
            photos = [file for file in inside if file.suffix.lower() in ENDINGS and file.is_file()]
            if not photos:
                raise InputError(f"image: {name}: no pictures in that folder; expected {', '.join(ENDINGS)}")
            files += photos
            skipped += sorted(set(inside) - set(photos))
        elif path.is_file():
            files.append(path)
        else:
            raise InputError(f"image: {name}: no such file or folder")
    return files, skipped


def read_photo(
    path: Path, box: Box | None, size: int, side: int, *, fit: str = "stretch", interpolation: str = "bilinear"
) -> tuple[np.ndarray, Image.Image]:
    """A photo as the network sees it, uint8 (3, size, size); and all of it, at most `side` pixels high and wide, with a
    frame round the box.

    `box`: x1, y1, x2, y2 in pixels of the upright photo. Raises BadPicture for the photo, InputError for the box.
    """
    data = path.read_bytes()
    width, height = check(data)
    part = usable_box(box, width, height) if box is not None else None
    if box is not None and part is None:
        raise InputError(
            f"box: found {','.join(map(str, box))}, but {path.name} has {width} x {height} pixels; expected a part of "
            "it of at least 8 pixels a side"
        )
    picture = _image(shrunk(data, side))
    if part is not None:
        x1, y1, x2, y2 = scale_box(part, (width, height), picture.size)
        ImageDraw.Draw(picture).rectangle((x1, y1, x2 - 1, y2 - 1), outline=FRAME, width=2)
    return decode(data, size=(size, size), box=box, fit=fit, interpolation=interpolation), picture


def hit_pictures(table: ItemTable, hits: Iterable[Hit], side: int) -> dict[tuple[str, str], Image.Image]:
    """(image, item) -> its picture, at most `side` pixels high and wide; reads only the row groups that hold them. A
    picture that cannot be decoded is left out."""
    places: dict[tuple[str, int], set[str]] = defaultdict(set)
    for hit in hits:
        places[hit.shard, hit.group].add(hit.image)
    pictures = {}
    for (shard, group), images in sorted(places.items()):
        for row in flatten(table.read(shard, group)).select(["image", "item", "jpeg"]).to_pylist():
            if row["image"] not in images:
                continue
            try:
                pictures[row["image"], row["item"]] = _image(shrunk(row["jpeg"], side))
            except BadPicture:
                continue
    return pictures


def _image(pixels_3HW: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels_3HW.transpose(1, 2, 0))

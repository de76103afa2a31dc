"""Pictures for a search: a customer's photos from files, and the pictures of what was found from the item table."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fashion.data.boxes import Box, scale_box, usable_box
from fashion.data.decode import BadPicture, decode
from fashion.data.table import ItemTable, flatten
from fashion.errors import InputError
from fashion.retrieval.lookup import Hit

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FRAME = (214, 39, 40)


def photo_files(names: Iterable[str]) -> list[Path]:
    """The files, and the pictures (by their endings) in the folders. Raises InputError where there are none."""
    found = []
    for name in names:
        path = Path(name).expanduser()
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS)
            if not inside:
                raise InputError(f"image: {name}: no pictures in that folder; expected {', '.join(ENDINGS)}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(f"image: {name}: no such file or folder")
    return found


def read_photo(path: Path, box: Box | None, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo as the network sees it, uint8 (3, size, size), and all of it, uint8 (3, H, W), both upright.

    `box`: x1, y1, x2, y2 in pixels of the upright photo. Raises BadPicture for the photo, InputError for the box.
    """
    data = path.read_bytes()
    whole = decode(data)
    height, width = whole.shape[1:]
    if box is not None and usable_box(box, width, height) is None:
        raise InputError(
            f"box: found {','.join(map(str, box))}, but {path.name} has {width} x {height} pixels; expected a part of "
            "it of at least 8 pixels a side"
        )
    return decode(data, size=(size, size), box=box), whole


def hit_pictures(table: ItemTable, hits: Iterable[Hit], side: int) -> dict[tuple[str, str], Image.Image]:
    """(image, item) -> its picture, at most `side` pixels high and wide; reads only the row groups that hold them. A
    picture that cannot be decoded is left out."""
    places: dict[tuple[str, int], set[str]] = defaultdict(set)
    for hit in hits:
        places[hit.shard, hit.group].add(hit.image)
    found = {}
    for (shard, group), images in sorted(places.items()):
        for row in flatten(table.read(shard, group)).select(["image", "item", "jpeg"]).to_pylist():
            if row["image"] not in images:
                continue
            try:
                found[row["image"], row["item"]] = small(decode(row["jpeg"]), side)
            except BadPicture:
                continue
    return found


def small(pixels_3HW: np.ndarray, side: int) -> Image.Image:
    """The picture, at most `side` pixels high and wide."""
    picture = Image.fromarray(pixels_3HW.transpose(1, 2, 0))
    picture.thumbnail((side, side))
    return picture


def framed(pixels_3HW: np.ndarray, box: Box | None, side: int) -> Image.Image:
    """The same, with a frame round the box."""
    picture = small(pixels_3HW, side)
    if box is not None:
        height, width = pixels_3HW.shape[1:]
        x1, y1, x2, y2 = scale_box(usable_box(box, width, height), (width, height), picture.size)
        ImageDraw.Draw(picture).rectangle((x1, y1, x2 - 1, y2 - 1), outline=FRAME, width=2)
    return picture

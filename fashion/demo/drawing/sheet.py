"""A contact sheet, to look at the catalogue."""

from collections.abc import Iterable

from PIL import Image

from fashion.demo.drawing.design import design
from fashion.demo.drawing.pictures import consumer_pictures, shop_pictures

_CELL = 150


def contact_sheet(seed: int, items: Iterable[int], *, columns: int = 2) -> Image.Image:
    """One row an item, `columns` items side by side: its first shop photo, then up to four customers' photos, each in a
    cell of 150 pixels."""
    items = list(items)
    rows = -(-len(items) // columns)
    sheet = Image.new("RGB", (columns * (5 * _CELL + 20), rows * (_CELL + 6)), (255, 255, 255))
    for place, item in enumerate(items):
        garment = design(seed, item)
        left, top = (place % columns) * (5 * _CELL + 20), (place // columns) * (_CELL + 6)
        photos = [*shop_pictures(garment)[:1], *consumer_pictures(garment)]
        for column, photo in enumerate(photos):
            small = photo.image.copy()
            small.thumbnail((_CELL - 4, _CELL))
            sheet.paste(small, (left + column * _CELL, top))
    return sheet

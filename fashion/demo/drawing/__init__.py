"""Procedurally drawn garments: an endless catalogue whose items are pure functions of (seed, item)."""

from fashion.demo.drawing.attributes import ATTRIBUTES, attributes
from fashion.demo.drawing.design import CATEGORIES, Garment, design
from fashion.demo.drawing.pictures import Picture, consumer_pictures, shop_picture, shop_pictures
from fashion.demo.drawing.sheet import contact_sheet

__all__ = [
    "ATTRIBUTES",
    "CATEGORIES",
    "Garment",
    "Picture",
    "attributes",
    "consumer_pictures",
    "contact_sheet",
    "design",
    "shop_picture",
    "shop_pictures",
]

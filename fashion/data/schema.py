"""The columns of an image's annotation, the same for every benchmark, and of the item table made from them."""

import pyarrow as pa

DOMAINS = ("consumer", "shop")
SPLITS = ("train", "val", "test")
ROLES = ("query", "gallery")

# The 8 landmark slots, DeepFashion's full-body order; upper- and lower-body garments fill some of them.
LANDMARKS = (
    "left collar", "right collar", "left sleeve", "right sleeve",
    "left waist", "right waist", "left hem", "right hem",
)  # fmt: skip

# Where an image is fetched from if not by its name: of use to `prepare` alone, and no part of the item table.
ADDRESS = pa.field("address", pa.string())

# One row an image. Null means "not annotated", which is not the same as an empty list.
ANNOTATIONS = pa.schema(
    [
        pa.field("item", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),  # path as annotated; in the table an id: see garments.py
        pa.field("domain", pa.string(), nullable=False),  # one of DOMAINS
        pa.field("split", pa.string(), nullable=False),  # one of SPLITS
        pa.field("role", pa.string()),  # one of ROLES, null for images that are only trained on
        pa.field("box", pa.list_(pa.int32())),  # x1, y1, x2, y2 in pixels of the source picture, as annotated
        pa.field("category", pa.string()),
        pa.field("clothes_type", pa.int8()),  # 1 upper body, 2 lower body, 3 full body
        pa.field("pose", pa.int8()),  # in-shop: 1 front .. 6 stand-alone
        pa.field("attributes", pa.list_(pa.string())),  # names of the attributes that are present
        pa.field("landmarks", pa.list_(pa.float32())),  # 8 x (visibility, x, y); visibility -1 where a slot is not used
        pa.field("pairs", pa.list_(pa.string())),  # consumer images: the shop images they are annotated to match
        pa.field("description", pa.string()),
        ADDRESS,
    ]
)

"""What stands in the files: an image's annotation, the same for every benchmark, and the item table made from them.

The item table is Parquet shards, one row an item with the list of its images, one folder a split, a manifest.

    manifest.json                        written last: what is here, from what, with which settings
    items/train/shard-00000.parquet      item, images: list<struct<image, domain, ..., width, height, jpeg>>
    quarantine/train/shard-00000.parquet images that could not be used, with the reason
    quarantine/annotations.parquet       rows of the annotations that could not be used
    duplicates.parquet                   photos that stand under several items
    stats/train/shard-00000.json         one a finished shard
    digests/train/shard-00000.parquet    one a picture that was read, by which duplicates are found
    plan/3f2a....parquet                 the annotations that a shard was made from, by which changes are found
    gone/9c41....parquet                 items that a shard's files hold and the table does not any more
    lists/5d07....parquet, .json         of a table of many shards: what the manifest of another says of them, and its plan

`image` is unique in the table: the picture's name, and NAME#2, ... for further garments of it (`prepare/garments.py`).
A row group holds `GROUP_ITEMS` items: the unit that training reads. A shard that is made anew gets a new name.
"""

import pyarrow as pa

# Where an image is fetched from if not by its name: of use to `prepare` alone, and no part of the item table.
ADDRESS = pa.field("address", pa.string())

# Which version of a picture a shard was made from, beside its annotations in the plan; null where it is not known.
VERSION = pa.field("version", pa.uint64())

# One row an image. Null means "not annotated", which is not the same as an empty list.
ANNOTATIONS = pa.schema(
    [
        pa.field("item", pa.string(), nullable=False),
        pa.field(
            "image", pa.string(), nullable=False
        ),  # path as annotated; in the table an id: see prepare/garments.py
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

FORMAT = 2
LAYERED = 3  # the format of a table with shards of several layers, or with items that are gone
LONG = 4  # the format of a table of many shards, which are listed in a file beside the manifest
FORMATS = (FORMAT, LAYERED, LONG)
GROUP_ITEMS = 64
MANIFEST = "manifest.json"

IMAGE = pa.struct(
    [field for field in ANNOTATIONS if field.name not in ("item", ADDRESS.name)]
    # Box and landmarks are in pixels of the packed picture; a null box is the whole picture.
    + [pa.field("width", pa.int32()), pa.field("height", pa.int32()), pa.field("jpeg", pa.large_binary())]
)
ITEMS = pa.schema([pa.field("item", pa.string(), nullable=False), pa.field("images", pa.list_(IMAGE), nullable=False)])
# `place`: where the fault lies, the line of a list or the address of a picture.
QUARANTINE = pa.schema([(name, pa.string()) for name in ("item", "image", "split", "place", "reason")])
GONE = pa.schema([pa.field("item", pa.string(), nullable=False)])
DIGESTS = pa.schema([(name, pa.string()) for name in ("item", "image", "digest")])
REJECTED = "quarantine/annotations.parquet"
DUPLICATES = "duplicates.parquet"


def items_file(shard: str) -> str:
    return f"items/{shard}.parquet"


def quarantine_file(shard: str) -> str:
    return f"quarantine/{shard}.parquet"


def stats_file(shard: str) -> str:
    return f"stats/{shard}.json"


def digests_file(shard: str) -> str:
    return f"digests/{shard}.parquet"


def rows_file(digest: str) -> str:
    return f"plan/{digest}.parquet"


def gone_file(digest: str) -> str:
    return f"gone/{digest}.parquet"

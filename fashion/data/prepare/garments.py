"""One photo may show several garments: a row a garment, with an id that says which.

The first garment of a picture has the picture's name as its id, further ones `name#2`, `name#3`, ... in the order of their
item, then box. A name that ends so itself gets `#1` first. So no two garments of a table share an id, and `picture_of`
gives the picture's name again.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ENDING = "#[0-9]+$"

_ENDING = re.compile(r"#[0-9]+\Z")


def garment_id(picture: str, number: int) -> str:
    """The id of the `number`-th garment, from 1, of the picture of that name."""
    return picture if number == 1 and not _ENDING.search(picture) else f"{picture}#{number}"


def picture_of(image: str) -> str:
    """The name of the picture that shows the garment of this id."""
    return _ENDING.sub("", image)


@dataclass(frozen=True, kw_only=True)
class Garments:
    """Rows with an id each, and what was found in them."""

    rows: pa.Table  # schema ANNOTATIONS, `image` the garment's id
    several: int  # pictures with more than one garment
    shared: list[str]  # pictures whose items lie in different splits: which item in which
    linked: list[list[str]]  # the items of each picture that has several


def name_garments(rows: pa.Table) -> Garments:
    """`rows` (schema ANNOTATIONS, `image` the picture's name; all rows of a picture) with ids. A garment is an item with
    a box: rows that repeat both have one id."""
    coded = rows["image"].combine_chunks().dictionary_encode()
    code = coded.indices.to_numpy(zero_copy_only=False)
    places = np.flatnonzero(np.bincount(code, minlength=len(coded.dictionary))[code] > 1)
    by_picture = defaultdict(list)
    columns = ["image", "item", "box", "split"]
    for place, row in zip(places.tolist(), rows.select(columns).take(pa.array(places)).to_pylist(), strict=True):
        by_picture[row["image"]].append((place, row))
    ids: dict[int, str] = {}
    several, shared, linked = 0, [], []
    for picture, rows_of_picture in by_picture.items():
        garments = defaultdict(list)
        for place, row in rows_of_picture:
            garments[row["item"], tuple(row["box"] or ())].append(place)
        for number, key in enumerate(sorted(garments), 1):
            ids |= dict.fromkeys(garments[key], garment_id(picture, number))
        several += len(garments) > 1
        splits = {row["item"]: row["split"] for _, row in rows_of_picture}
        if len(splits) > 1:
            linked.append(sorted(splits))
        if len(set(splits.values())) > 1:
            shared.append(f"{picture}: " + ", ".join(f"{item} in {splits[item]}" for item in sorted(splits)))
    images = _named(rows["image"], ids)
    place = rows.schema.get_field_index("image")
    return Garments(
        rows=rows.set_column(place, rows.schema.field(place), images), several=several, shared=shared, linked=linked
    )


def pairs_to_ids(rows: pa.Table) -> pa.Table:
    """`rows` (all of their items) with `pairs` that name garments of the item, where they named pictures."""
    if not pc.any(pc.match_substring_regex(rows["image"], ENDING), min_count=0).as_py():
        return rows
    items, images, pairs = (rows[name].to_pylist() for name in ("item", "image", "pairs"))
    ids = defaultdict(list)
    for item, image in zip(items, images, strict=True):
        ids[item, picture_of(image)].append(image)
    pairs = [
        None if named is None else [image for picture in named for image in ids.get((item, picture), [picture])]
        for item, named in zip(items, pairs, strict=True)
    ]
    place = rows.schema.get_field_index("pairs")
    return rows.set_column(place, rows.schema.field(place), pa.array(pairs, rows.schema.field(place).type))


def together(linked: Iterable[list[str]]) -> dict[str, str]:
    """Item -> the first of all items that it is linked with, directly or through others; items without links are left
    out."""
    first: dict[str, str] = {}

    def find(item: str) -> str:
        while first.setdefault(item, item) != item:
            first[item] = first[first[item]]
            item = first[item]
        return item

    for items in linked:
        roots = sorted({find(item) for item in items})
        for root in roots[1:]:
            first[root] = roots[0]
    return {item: find(item) for item in first}


def _named(images: pa.ChunkedArray, ids: dict[int, str]) -> pa.Array:
    """The images with `ids` in their places, and #1 behind other names that end like an id."""
    images = images.combine_chunks()
    images = pc.if_else(pc.match_substring_regex(images, ENDING), pc.binary_join_element_wise(images, "#1", ""), images)
    if not ids:
        return images
    places = np.fromiter(sorted(ids), np.int64, len(ids))
    mask = np.zeros(len(images), bool)
    mask[places] = True
    return pc.replace_with_mask(
        images, pa.array(mask), pa.array([ids[place] for place in places.tolist()], images.type)
    )

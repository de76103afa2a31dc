"""DeepFashion, Consumer-to-shop Clothes Retrieval: pairs of a customer's photo and the shop's photo it shows."""

from collections.abc import Iterator

import pyarrow as pa

from fashion.data.formats.deepfashion import (
    box_rows,
    check_items,
    folder_category,
    label_rows,
    landmark_rows,
    named_types,
    names_and_types,
    one_of,
    type_names,
)
from fashion.data.formats.images import Images
from fashion.data.formats.text_table import Warn, counted_rows, have, malformed, require
from fashion.domain import ROLE_OF, SPLITS
from fashion.storage import Store
from fashion.text import some

PAIRS = "Eval/list_eval_partition.txt"
BOXES = "Anno/list_bbox_consumer2shop.txt"
LANDMARKS = "Anno/list_landmarks_consumer2shop.txt"
ITEMS = "Anno/list_item_consumer2shop.txt"
ATTRIBUTES = "Anno/list_attr_cloth.txt"
TYPES = "Anno/list_attr_type.txt"
ITEM_ATTRIBUTES = "Anno/list_attr_items.txt"
LAYOUT = f"DeepFashion's Consumer-to-shop layout: {PAIRS}, {BOXES}, Img/img/TOPS/..."

SOURCES = {1: "shop", 2: "consumer"}  # source_type of the list of boxes


def read(source: Store, warn: Warn) -> Iterator[pa.RecordBatch]:
    """Batches of schema ANNOTATIONS, a row an image and item, in the order in which the pairs name them. Raises InputError.

    The item is that of the pair's item_id, never the folder: the photos of a pair may lie in different ones. Images
    that no pair names are left out.
    """
    require(source, LAYOUT, PAIRS, BOXES)
    images = _pairs(source, warn)
    check_items(source, ITEMS, {images.value(row, "item") for row in images}, warn)
    images.join(BOXES, _boxes(source, images, warn), warn)
    if have(source, LANDMARKS, warn, "no landmarks are read"):
        images.join(LANDMARKS, landmark_rows(source, LANDMARKS, warn), warn)
    _attributes(source, images, warn)
    yield from images.batches()


def attribute_types(source: Store, warn: Warn) -> dict[str, str]:
    """Every attribute of the list, in its order -> its type by name, as the list of types calls it; empty where the
    attributes are not read. Raises InputError."""
    if not (source.exists(ATTRIBUTES) and source.exists(ITEM_ATTRIBUTES)):
        return {}
    types = type_names(source, TYPES, warn) if source.exists(TYPES) else {}
    return named_types(names_and_types(source, ATTRIBUTES, warn), types)


def _pairs(source: Store, warn: Warn) -> Images:
    """Every image that a pair names, once an item; each consumer image with all the shop images it is paired with."""
    images, clashes = Images(), []
    for number, row in counted_rows(source, PAIRS, warn):
        if len(row) != 4:
            expected = "image_pair_name_1 image_pair_name_2 item_id evaluation_status"
            raise malformed(PAIRS, number, f"{len(row)} columns", expected)
        consumer, shop, item, split = row
        one_of(PAIRS, number, split, SPLITS, "status")
        for image, domain in ((consumer, "consumer"), (shop, "shop")):
            known = images.find(image, item)
            if known is None:
                none_yet: list[str] | None = [] if domain == "consumer" else None
                category = folder_category(image)
                images.add(
                    image,
                    item=item,
                    domain=domain,
                    split=split,
                    role=ROLE_OF[domain],
                    category=category,
                    pairs=none_yet,
                )
            elif [images.value(known, column) for column in ("domain", "split")] != [domain, split]:
                clashes.append(image)
        asking = images.find(consumer, item)
        assert asking is not None  # it is added above where it was not there
        pairs = images.value(asking, "pairs")
        if pairs is not None and shop not in pairs:
            pairs.append(shop)
    if clashes:
        warn(
            f"{PAIRS}: {len(clashes)} times an image of an item has another column or status than before; the first is "
            f"used: {some(clashes)}"
        )
    return images


def _boxes(source: Store, images: Images, warn: Warn) -> Iterator[tuple[str, dict]]:
    differ = 0
    for image, values in box_rows(source, BOXES, warn, ("clothes_type", "source_type")):
        domain = SOURCES.get(values.pop("source_type"))
        differ += image in images and domain not in {images.value(row, "domain") for row in images.rows(image)}
        yield image, values
    if differ:
        warn(f"{BOXES}: source_type of {differ} images is not that of their column in {PAIRS}; the column is used")


def _attributes(source: Store, images: Images, warn: Warn) -> None:
    """Set the attributes, which are annotated by item."""
    without = "no attributes are read"
    if not (have(source, ATTRIBUTES, warn, without) and have(source, ITEM_ATTRIBUTES, warn, without)):
        return
    names = [name for name, _ in names_and_types(source, ATTRIBUTES, warn)]
    labelled = dict(label_rows(source, ITEM_ATTRIBUTES, warn, names))
    for row in images:
        images.set(row, "attributes", labelled.get(images.value(row, "item")))

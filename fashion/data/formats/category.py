"""DeepFashion, Category and Attribute Prediction: shop pictures, each an item of its own, in two annotations.

The coarse one has 289,222 images and 1,000 attributes; the fine one 20,000 of them and 26 attributes.
"""

from collections.abc import Iterator

import pyarrow as pa

from fashion.data.formats.deepfashion import (
    ATTRIBUTE_TYPES,
    box_rows,
    integers,
    label_rows,
    landmark_rows,
    named_types,
    names_and_types,
    one_of,
)
from fashion.data.formats.images import Images
from fashion.data.formats.text_table import Warn, counted_rows, have, malformed, require
from fashion.domain import SPLITS
from fashion.storage import Store

PARTITION = "Eval/list_eval_partition.txt"
CATEGORIES = "list_category_cloth.txt"
LAYOUT = (
    f"DeepFashion's Category and Attribute layout: {PARTITION}, Anno_coarse/ (or Anno/) with {CATEGORIES}, "
    "list_category_img.txt, list_attr_cloth.txt, list_attr_img.txt, list_bbox.txt; Img/img/..."
)
ROLES = {"train": "gallery", "val": "query", "test": "query"}


def read_coarse(source: Store, warn: Warn) -> Iterator[pa.RecordBatch]:
    """Batches of schema ANNOTATIONS, in the order of the evaluation list. Raises InputError."""
    folder = _folder(source)
    categories, labels, names, attributes, boxes, landmarks = (
        f"{folder}/list_{stem}.txt"
        for stem in ("category_cloth", "category_img", "attr_cloth", "attr_img", "bbox", "landmarks")
    )
    require(source, LAYOUT, PARTITION, categories, labels, names, attributes, boxes)
    images = Images.of(PARTITION, _partition(source, warn), warn)
    images.join(labels, _categories(source, labels, read_categories(source, categories, warn), warn), warn)
    images.join(boxes, box_rows(source, boxes, warn, ()), warn)
    if have(source, landmarks, warn, "no landmarks are read"):
        images.join(landmarks, landmark_rows(source, landmarks, warn), warn)
    known = [name for name, _ in names_and_types(source, names, warn)]
    labelled = label_rows(source, attributes, warn, known)
    images.join(attributes, ((image, {"attributes": present}) for image, present in labelled), warn)
    yield from images.batches()


def attribute_types(source: Store, warn: Warn) -> dict[str, str]:
    """Every attribute of the list, in its order -> texture, fabric, shape, part or style. Raises InputError."""
    name = f"{_folder(source)}/list_attr_cloth.txt"
    require(source, LAYOUT, name)
    return named_types(names_and_types(source, name, warn), ATTRIBUTE_TYPES)


def _folder(source: Store) -> str:
    return next((f for f in ("Anno_coarse", "Anno") if source.exists(f"{f}/{CATEGORIES}")), "Anno_coarse")


def own_item(image: str, split: str) -> dict:
    """The values of a picture that is an item of its own; the train pictures are the gallery of the others."""
    return dict(item=image, domain="shop", split=split, role=ROLES[split])


def read_categories(source: Store, name: str, warn: Warn) -> list[dict]:
    """The values of category label 1, 2, ...: its name and, where its type is 1, 2 or 3, the clothes type."""
    types = {"1": 1, "2": 2, "3": 3}
    return [
        {"category": category} | ({"clothes_type": types[kind]} if kind in types else {})
        for category, kind in names_and_types(source, name, warn)
    ]


def category_of(name: str, number: int, label: str, categories: list[dict]) -> dict:
    """The values of a category label, which counts the categories from 1. Raises InputError."""
    expected = f"a category label from 1 to {len(categories)}"
    (value,) = integers(name, number, [label], expected)
    if not 1 <= value <= len(categories):
        raise malformed(name, number, f"category label {value}", expected)
    return categories[value - 1]


def _categories(source: Store, name: str, categories: list[dict], warn: Warn) -> Iterator[tuple[str, dict]]:
    for number, row in counted_rows(source, name, warn):
        if len(row) != 2:
            raise malformed(name, number, f"{len(row)} columns", "image_name category_label")
        yield row[0], category_of(name, number, row[1], categories)


def _partition(source: Store, warn: Warn) -> Iterator[tuple[str, dict]]:
    for number, row in counted_rows(source, PARTITION, warn):
        if len(row) != 2:
            raise malformed(PARTITION, number, f"{len(row)} columns", "image_name evaluation_status")
        image, split = row
        yield image, own_item(image, one_of(PARTITION, number, split, SPLITS, "status"))

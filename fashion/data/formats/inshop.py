"""DeepFashion, In-shop Clothes Retrieval: every picture is a shop's, several views of each item."""

import json
from collections.abc import Iterator

import pyarrow as pa

from fashion.data.formats.deepfashion import box_rows, check_items, folder_category, label_rows, landmark_rows, one_of
from fashion.data.formats.images import Images
from fashion.data.formats.text_table import Warn, counted_rows, have, malformed, require
from fashion.errors import InputError
from fashion.storage import Store

PARTITION = "Eval/list_eval_partition.txt"
BOXES = "Anno/list_bbox_inshop.txt"
LANDMARKS = "Anno/list_landmarks_inshop.txt"
ITEMS = "Anno/list_item_inshop.txt"
DESCRIPTIONS = "Anno/list_description_inshop.json"
ATTRIBUTES = ("Anno/attributes", "Anno")  # the folder of the three lists, which releases before 2017 are without
NAMES, ITEM_ATTRIBUTES, COLORS = "list_attr_cloth.txt", "list_attr_items.txt", "list_color_cloth.txt"
LAYOUT = f"DeepFashion's In-shop layout: {PARTITION}, {BOXES}, Img/img/WOMEN/..."

# Evaluation status -> split and role. There is no published validation split.
STATUS = {"train": ("train", None), "query": ("test", "query"), "gallery": ("test", "gallery")}


def read(source: Store, warn: Warn) -> Iterator[pa.RecordBatch]:
    """Batches of schema ANNOTATIONS, in the order of the evaluation list. Raises InputError.

    The category is that of the image's folder (an item may have images under two), such as WOMEN/Dresses.
    """
    require(source, LAYOUT, PARTITION, BOXES)
    images = Images.of(PARTITION, _partition(source, warn), warn)
    check_items(source, ITEMS, {images.value(row, "item") for row in images}, warn)
    images.join(BOXES, box_rows(source, BOXES, warn, ("clothes_type", "pose")), warn)
    if have(source, LANDMARKS, warn, "no landmarks are read"):
        images.join(LANDMARKS, landmark_rows(source, LANDMARKS, warn), warn)
    if have(source, DESCRIPTIONS, warn, "no descriptions are read"):
        described = descriptions(source, DESCRIPTIONS)
        for row in images:
            images.set(row, "description", described.get(images.value(row, "item")))
    _attributes(source, images, warn)
    yield from images.batches()


def attribute_types(source: Store, warn: Warn) -> dict[str, str]:
    """Every attribute of the list, in its order -> `attribute`, and every colour -> `color`; empty where they are not
    read. Raises InputError."""
    folder = _attribute_folder(source)
    if folder is None:
        return {}
    types = dict.fromkeys(_names(source, f"{folder}/{NAMES}", warn), "attribute")
    if source.exists(f"{folder}/{COLORS}"):
        types |= dict.fromkeys(sorted({color for _, color in _colors(source, f"{folder}/{COLORS}", warn)}), "color")
    return types


def _attribute_folder(source: Store) -> str | None:
    """Where the lists of attributes are: the names and what each item has."""
    return next((f for f in ATTRIBUTES if all(source.exists(f"{f}/{n}") for n in (NAMES, ITEM_ATTRIBUTES))), None)


def _attributes(source: Store, images: Images, warn: Warn) -> None:
    """Set the attributes, which are annotated by item, and with them the colour, which is by image.

    An image whose item has no row stays without both: a list with its colour alone would say that it has none of the
    others.
    """
    folder = _attribute_folder(source)
    if folder is None:
        return
    labelled = dict(label_rows(source, f"{folder}/{ITEM_ATTRIBUTES}", warn, _names(source, f"{folder}/{NAMES}", warn)))
    file = f"{folder}/{COLORS}"
    colors = dict(_colors(source, file, warn)) if have(source, file, warn, "no colours are read") else {}
    missing = 0
    for row in images:
        present = labelled.get(images.value(row, "item"))
        missing += present is None
        if present is not None:
            color = colors.get(images.value(row, "image"))
            images.set(row, "attributes", [*present, *([color] if color else [])])
    if missing:
        warn(f"{folder}/{ITEM_ATTRIBUTES}: no row for the items of {missing} images; they stay without attributes")


def _names(source: Store, name: str, warn: Warn) -> list[str]:
    """Of the attributes: here a line is a name, and there are no types."""
    return [" ".join(row) for _, row in counted_rows(source, name, warn, exact=True)]


def _colors(source: Store, name: str, warn: Warn) -> Iterator[tuple[str, str]]:
    """(image, its colour as an attribute), such as `color: Heather grey`; some attributes are called black or navy."""
    for number, (image, *color) in counted_rows(source, name, warn):
        if not color:
            raise malformed(name, number, "1 column", "image_name color")
        yield image, f"color: {' '.join(color)}"


def _partition(source: Store, warn: Warn) -> Iterator[tuple[str, dict]]:
    for number, row in counted_rows(source, PARTITION, warn):
        if len(row) != 3:
            raise malformed(PARTITION, number, f"{len(row)} columns", "image_name item_id evaluation_status")
        image, item, status = row
        split, role = STATUS[one_of(PARTITION, number, status, STATUS, "status")]
        yield image, dict(item=item, domain="shop", split=split, role=role, category=folder_category(image))


def descriptions(source: Store, name: str) -> dict[str, str]:
    """Item -> its colours and texts, each told once, from an array of {item, color, description}.

    A description may be a string or a list of strings, and an item may come several times.
    """
    try:
        entries = json.loads(source.read(name).decode("utf-8-sig"))
        parts: dict[str, dict[str, None]] = {}
        for entry in entries:
            text = entry.get("description") or []
            texts = [entry.get("color"), *([text] if isinstance(text, str) else text)]
            parts.setdefault(entry["item"], {}).update((t.strip(), None) for t in texts if t and t.strip())
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as fault:
        raise InputError(
            f"{name}: found {type(fault).__name__} ({fault}), expected a JSON array of {{item, color, description}}"
        ) from None
    return {item: " ".join(texts) for item, texts in parts.items() if texts}

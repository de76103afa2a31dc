"""DeepFashion, In-shop Clothes Retrieval: every picture is a shop's, several views of each item."""

import json
from collections.abc import Iterator

import pyarrow as pa

from fashion.data.annotations import box_rows, check_items, folder_category, landmark_rows, one_of
from fashion.data.join import Images
from fashion.data.tables import Warn, counted_rows, have, malformed, require
from fashion.errors import InputError
from fashion.storage import Store

PARTITION = "Eval/list_eval_partition.txt"
BOXES = "Anno/list_bbox_inshop.txt"
LANDMARKS = "Anno/list_landmarks_inshop.txt"
ITEMS = "Anno/list_item_inshop.txt"
DESCRIPTIONS = "Anno/list_description_inshop.json"
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
    yield from images.batches()


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
    except (ValueError, AttributeError, KeyError, TypeError) as fault:
        raise InputError(
            f"{name}: found {type(fault).__name__} ({fault}), expected a JSON array of {{item, color, description}}"
        ) from None
    return {item: " ".join(texts) for item, texts in parts.items() if texts}

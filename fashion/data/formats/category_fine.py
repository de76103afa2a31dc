"""The fine annotation of DeepFashion's Category and Attribute Prediction: files without names, aligned by row.

`Anno_fine/train.txt` lists the images; line i of `train_attr.txt`, `train_cate.txt`, `train_bbox.txt` and
`train_landmarks.txt` belongs to image i. So too for val and test. None of them has a count or column names.
"""

from collections.abc import Iterator
from itertools import zip_longest

import pyarrow as pa

from fashion.data.formats.category import CATEGORIES, category_of, own_item, read_categories
from fashion.data.formats.deepfashion import integers, named_types, names_and_types, positives
from fashion.data.formats.images import Images
from fashion.data.formats.text_table import Warn, have, lines, malformed, require, tokens
from fashion.domain import SPLITS, UNUSED
from fashion.errors import InputError
from fashion.storage import Store

FOLDER = "Anno_fine"
NAMES = f"{FOLDER}/list_attr_cloth.txt"
ATTRIBUTE_TYPES = {
    str(n): kind for n, kind in enumerate(("texture", "sleeve", "length", "neckline", "fabric", "fit"), 1)
}
LAYOUT = (
    f"DeepFashion's fine Category and Attribute layout: {NAMES}, {FOLDER}/{{train,val,test}}.txt and "
    f"{{train,val,test}}_{{attr,cate,bbox,landmarks}}.txt, {CATEGORIES} there or in Anno_coarse; Img/img/..."
)


def read_fine(source: Store, warn: Warn) -> Iterator[pa.RecordBatch]:
    """Batches of schema ANNOTATIONS: train, val, test, each in the order of its list. Raises InputError."""
    lists = [f"{FOLDER}/{split}.txt" for split in SPLITS]
    require(source, LAYOUT, NAMES, *lists, *(f"{FOLDER}/{split}_attr.txt" for split in SPLITS))
    images, order = Images(), {}
    for split, name in zip(SPLITS, lists, strict=True):
        order[split] = [tokens(name, number, line)[0] for number, line in lines(source, name)]
        for image in order[split]:
            if image in images:
                raise InputError(
                    f"{name}: {image} comes twice; expected each image in one row of one of {', '.join(lists)}"
                )
            images.add(image, **own_item(image, split))
    names = [name for name, _ in names_and_types(source, NAMES, warn)]
    categories = _categories(source, warn)
    for split, listed in order.items():
        for image, values in _rows(source, split, listed, names, categories, warn):
            for column, value in values.items():
                images.set(images.rows(image)[0], column, value)
    yield from images.batches()


def _rows(
    source: Store, split: str, listed: list[str], names: list[str], categories: list[dict] | None, warn: Warn
) -> Iterator[tuple[str, dict]]:
    """(image, {column: value}) of every file of a split in turn."""
    file = f"{FOLDER}/{split}_attr.txt"
    for image, number, line in _aligned(source, file, listed):
        try:
            yield image, {"attributes": [names[i] for i in positives(line, len(names))]}
        except InputError as fault:
            raise InputError(f"{file}, line {number}: {fault}") from None
    file = f"{FOLDER}/{split}_cate.txt"
    if categories and have(source, file, warn, f"no categories are read for {split}"):
        for image, number, line in _aligned(source, file, listed):
            yield image, category_of(file, number, line.decode(errors="replace"), categories)
    file = f"{FOLDER}/{split}_bbox.txt"
    if have(source, file, warn, f"no boxes are read for {split}"):
        for image, number, line in _aligned(source, file, listed):
            yield image, {"box": _numbers(file, number, line, (4,), "x_1 y_1 x_2 y_2")}
    file = f"{FOLDER}/{split}_landmarks.txt"
    if have(source, file, warn, f"no landmarks are read for {split}"):
        for image, number, line in _aligned(source, file, listed):
            points = _numbers(file, number, line, (16, 24), "8 x (x y) or 8 x (visibility x y)")
            yield image, {"landmarks": points if len(points) == 24 else with_visibility(points)}


def attribute_types(source: Store, warn: Warn) -> dict[str, str]:
    """Every attribute of the list, in its order -> one of the fine annotation's own types. Raises InputError."""
    require(source, LAYOUT, NAMES)
    return named_types(names_and_types(source, NAMES, warn), ATTRIBUTE_TYPES)


def with_visibility(points: tuple[int, ...]) -> list[int]:
    """8 x (x, y) -> 8 x (visibility, x, y): a landmark at 0 0 is one that the garment does not have."""
    full = []
    for x, y in zip(points[::2], points[1::2], strict=True):
        full += [0 if x or y else UNUSED, x, y]
    return full


def _aligned(source: Store, name: str, listed: list[str]) -> Iterator[tuple[str, int, bytes]]:
    """(image, line number, line); InputError where the file has not one row an image."""
    rows = 0
    for image, row in zip_longest(listed, lines(source, name)):
        if row is not None:
            rows += 1
        if image is not None and row is not None:
            yield image, *row
    if rows != len(listed):
        raise InputError(f"{name}: found {rows} rows, expected {len(listed)}, one for each image of the split's list")


def _numbers(name: str, number: int, line: bytes, counts: tuple[int, ...], expected: str) -> tuple[int, ...]:
    values = integers(name, number, tokens(name, number, line), expected)
    if len(values) not in counts:
        raise malformed(name, number, f"{len(values)} numbers", expected)
    return values


def _categories(source: Store, warn: Warn) -> list[dict] | None:
    for folder in (FOLDER, "Anno_coarse", "Anno"):
        if source.exists(f"{folder}/{CATEGORIES}"):
            return read_categories(source, f"{folder}/{CATEGORIES}", warn)
    warn(f"{CATEGORIES}: not found in {FOLDER} or Anno_coarse; no categories are read")
    return None

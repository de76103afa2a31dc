"""The demo catalogue's photos and annotation files in the three layouts in which DeepFashion is published.

Each layout is two functions: which photos an item has and what they are called, and which files describe them.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fashion.demo.drawing import (
    ATTRIBUTES,
    CATEGORIES,
    Garment,
    Picture,
    attributes,
    consumer_pictures,
    shop_picture,
    shop_pictures,
)

# Category -> folder of Consumer-to-shop, folder of In-shop (its WOMEN/ or MEN/ part aside).
_FOLDERS = {
    "Tee": ("TOPS/T_Shirt", "Tees_Tanks"), "Top": ("TOPS/Long_Sleeve", "Tees_Tanks"),
    "Blouse": ("TOPS/Blouse", "Blouses_Shirts"), "Hoodie": ("CLOTHING/Hoodie", "Sweatshirts_Hoodies"),
    "Sweater": ("CLOTHING/Knitwear", "Sweaters"), "Jacket": ("CLOTHING/Jacket", "Jackets_Coats"),
    "Tank": ("TOPS/Tank_Top", "Tees_Tanks"), "Coat": ("CLOTHING/Coat", "Jackets_Coats"),
    "Dress": ("DRESSES/Dress", "Dresses"), "Jumpsuit": ("CLOTHING/Jumpsuit", "Rompers_Jumpsuits"),
    "Skirt": ("DRESSES/Skirt", "Skirts"), "Jeans": ("TROUSERS/Jeans", "Denim"),
    "Joggers": ("TROUSERS/Pants", "Pants"), "Shorts": ("TROUSERS/Shorts", "Shorts"),
}  # fmt: skip
_SOURCES = {"shop": 1, "consumer": 2}
_ATTRIBUTE_TYPES = ("texture", "fabric", "shape", "part", "style")


@dataclass(frozen=True, kw_only=True)
class Photo:
    """What the annotation files say of one photo; `landmarks` are (visibility, x, y) of the type's own slots."""

    path: str  # below Img/
    domain: str
    pose: int
    box: tuple[int, int, int, int]
    clothes_type: int
    landmarks: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item of a laid out catalogue."""

    name: str  # id_00000001
    category: str
    colour: str
    attributes: tuple[str, ...]
    photos: tuple[Photo, ...]


def item_name(item: int) -> str:
    """Published ids start at 1 and have gaps, so that no id is an index."""
    return f"id_{item + 1 + item // 60:08d}"


def describe(garment: Garment, item: int, drawn: Iterable[tuple[str, Picture]]) -> Item:
    """The annotations of an item whose pictures are `drawn`, each with its path."""
    return Item(
        name=item_name(item), category=garment.category, colour=garment.colour_names[0],
        attributes=attributes(garment), photos=tuple(_photo(path, picture) for path, picture in drawn),
    )  # fmt: skip


def _photo(path: str, picture: Picture) -> Photo:
    used = ((int(seen), int(x), int(y)) for seen, x, y in picture.landmarks.tolist() if seen >= 0)
    return Photo(
        path=path, domain=picture.domain, pose=picture.pose, box=picture.box, clothes_type=picture.clothes_type,
        landmarks=tuple(used),
    )  # fmt: skip


# -- Consumer-to-shop ------------------------------------------------------------------------------------------------


def _consumer_to_shop(garment: Garment, item: int) -> Iterator[tuple[str, Picture]]:
    folder = f"img/{_FOLDERS[garment.category][0]}/{item_name(item)}"
    for number, picture in enumerate(shop_pictures(garment), 1):
        yield f"{folder}/shop_{number:02d}.jpg", picture
    for number, picture in enumerate(consumer_pictures(garment), 1):
        yield f"{folder}/comsumer_{number:02d}.jpg", picture  # spelled as it is published


def _annotate_consumer_to_shop(root: Path, items: list[Item]) -> None:
    photos = [photo for item in items for photo in item.photos]
    boxes = [(p.path, p.clothes_type, _SOURCES[p.domain], *_padded(p.box)) for p in photos]
    _table(root / "Anno/list_bbox_consumer2shop.txt", "image_name clothes_type source_type x_1 y_1 x_2 y_2", boxes)
    marks = [(p.path, p.clothes_type, _SOURCES[p.domain], *_marks(p)) for p in photos]
    header = f"image_name clothes_type variation_type {_MARKS_HEADER}"
    _table(root / "Anno/list_landmarks_consumer2shop.txt", header, marks)
    _table(root / "Anno/list_item_consumer2shop.txt", None, [(item.name,) for item in items])
    names = [(_CHINESE[kind - 1], name, kind) for name, kind in ATTRIBUTES.items()]
    header = "attribute_name_chinese attribute_name_english attribute_type"
    _table(root / "Anno/list_attr_cloth.txt", header, names, windows=True)
    types = [(number, name) for number, name in enumerate(_ATTRIBUTE_TYPES, 1)]
    _table(root / "Anno/list_attr_type.txt", "attribute_type attribute_type_name", types)
    labels = [(item.name, *_labels(item)) for item in items]
    _table(root / "Anno/list_attr_items.txt", "item_id attribute_labels", labels)
    pairs = []
    for item, split in zip(items, _splits(len(items)), strict=True):
        shop = [photo.path for photo in item.photos if photo.domain == "shop"]
        consumer = [photo.path for photo in item.photos if photo.domain == "consumer"]
        pairs += [(path, shop[number % len(shop)], item.name, split) for number, path in enumerate(consumer)]
    header = "image_pair_name_1 image_pair_name_2 item_id evaluation_status"
    _table(root / "Eval/list_eval_partition.txt", header, pairs)


# -- In-shop ---------------------------------------------------------------------------------------------------------

_VIEWS = (("front", 1), ("side", 2), ("back", 3), ("full", 4), ("additional", 7))  # with the number in the file's name


def _in_shop(garment: Garment, item: int) -> Iterator[tuple[str, Picture]]:
    rng = garment.random(21)
    women = garment.category in ("Dress", "Skirt", "Blouse", "Jumpsuit", "Tank") or rng.random() < 0.5
    folder = f"img/{'WOMEN' if women else 'MEN'}/{_FOLDERS[garment.category][1]}/{item_name(item)}"
    for shot, (view, number) in enumerate(_VIEWS):
        if shot < 2 or rng.random() < 0.7:
            yield f"{folder}/01_{number}_{view}.jpg", shop_picture(garment, shot, view)


def _annotate_in_shop(root: Path, items: list[Item]) -> None:
    photos = [photo for item in items for photo in item.photos]
    boxes = [(p.path, p.clothes_type, p.pose, *_padded(p.box)) for p in photos]
    _table(root / "Anno/list_bbox_inshop.txt", "image_name clothes_type pose_type x_1 y_1 x_2 y_2", boxes)
    marks = [(p.path, p.clothes_type, 1, *_marks(p)) for p in photos]
    header = f"image_name clothes_type variation_type {_MARKS_HEADER}"
    _table(root / "Anno/list_landmarks_inshop.txt", header, marks)
    _table(root / "Anno/list_item_inshop.txt", None, [(item.name,) for item in items])
    descriptions = [
        {"item": i.name, "color": i.colour.title(), "description": [f"{i.category}: {', '.join(i.attributes)}."]}
        for i in items
    ]
    (root / "Anno/list_description_inshop.json").write_text(json.dumps(descriptions, indent=1), encoding="utf-8")
    rows = []
    for number, item in enumerate(items):
        train = number < round(0.6 * len(items))
        for shot, photo in enumerate(item.photos):
            rows.append((photo.path, item.name, "train" if train else "query" if shot % 2 else "gallery"))
    _table(root / "Eval/list_eval_partition.txt", "image_name item_id evaluation_status", rows)


# -- Category and attribute prediction -------------------------------------------------------------------------------


def _category_attribute(garment: Garment, item: int) -> Iterator[tuple[str, Picture]]:
    named = "_".join(word.title().replace(" ", "_") for word in attributes(garment)[:2])
    pictures = [*shop_pictures(garment), *consumer_pictures(garment)]
    for number, picture in enumerate(pictures, 1):
        yield f"img/{named}_{garment.category}/img_{8 * item + number:08d}.jpg", picture


def _annotate_category_attribute(root: Path, items: list[Item]) -> None:
    anno, numbers = root / "Anno_coarse", {category: number for number, category in enumerate(CATEGORIES, 1)}
    photos = [(item, photo) for item in items for photo in item.photos]
    kinds = [(category, cut.clothes_type) for category, cut in CATEGORIES.items()]
    _table(anno / "list_category_cloth.txt", "category_name  category_type", kinds)
    _table(
        anno / "list_category_img.txt", "image_name  category_label", [(p.path, numbers[i.category]) for i, p in photos]
    )
    _table(anno / "list_attr_cloth.txt", "attribute_name  attribute_type", list(ATTRIBUTES.items()))
    _table(anno / "list_attr_img.txt", "image_name  attribute_labels", [(p.path, *_labels(i)) for i, p in photos])
    _table(anno / "list_bbox.txt", "image_name  x_1  y_1  x_2  y_2", [(p.path, *_padded(p.box)) for _, p in photos])
    marks = [(p.path, p.clothes_type, *_marks(p)) for _, p in photos]
    _table(anno / "list_landmarks.txt", f"image_name clothes_type {_MARKS_HEADER}", marks)
    splits = zip(items, _splits(len(items)), strict=True)
    rows = [(photo.path, split) for item, split in splits for photo in item.photos]
    _table(root / "Eval/list_eval_partition.txt", "image_name  evaluation_status", rows)


LAYOUTS: dict[
    str, tuple[Callable[[Garment, int], Iterator[tuple[str, Picture]]], Callable[[Path, list[Item]], None]]
] = {
    "consumer-to-shop": (_consumer_to_shop, _annotate_consumer_to_shop),
    "in-shop": (_in_shop, _annotate_in_shop),
    "category-attribute": (_category_attribute, _annotate_category_attribute),
}

_MARKS_HEADER = " ".join(
    f"landmark_visibility_{n} landmark_location_x_{n} landmark_location_y_{n}" for n in range(1, 9)
)
_CHINESE = ("图案", "面料", "形状", "部位", "风格")  # the published list has a Chinese name first


def _splits(count: int) -> list[str]:
    """60 % train, 8 % val, the rest test; items are drawn independently, so their order is as good as any."""
    train, val = round(0.6 * count), max(1, round(0.08 * count))
    return ["train"] * train + ["val"] * val + ["test"] * (count - train - val)


def _labels(item: Item) -> list[int]:
    return [1 if name in item.attributes else -1 for name in ATTRIBUTES]


def _padded(values: Iterable[int]) -> list[str]:
    return [f"{value:03d}" for value in values]


def _marks(photo: Photo) -> list[str]:
    return [text for visibility, x, y in photo.landmarks for text in (str(visibility), f"{x:03d}", f"{y:03d}")]


def _table(path: Path, header: str | None, rows: list[tuple], *, windows: bool = False) -> None:
    """The row count, the column names, then rows whose first column is padded with blanks; `windows`: with a byte order
    mark and CRLF, as one published file has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    end = "\r\n" if windows else "\n"
    with open(path, "w", encoding="utf-8-sig" if windows else "utf-8", newline="") as file:
        file.write(f"{len(rows)}{end}")
        if header is not None:
            file.write(header + end)
        for first, *rest in rows:
            file.write(" ".join((f"{first:<70}" if rest else str(first), *map(str, rest))).rstrip() + end)

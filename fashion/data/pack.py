"""One shard of the item table from its annotations: pictures read, checked, cropped, shrunk and packed."""

import hashlib
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

from fashion.data.boxes import scale_box, usable_box
from fashion.data.decode import BadPicture, check, decode
from fashion.data.garments import picture_of
from fashion.data.image_places import scheme_of
from fashion.data.jpeg import encode_jpeg, is_jpeg
from fashion.data.pictures import Pictures
from fashion.data.schema import ADDRESS
from fashion.data.table import DIGESTS, ITEMS, QUARANTINE
from fashion.errors import InputError
from fashion.storage import READERS

QUALITY = 92  # of pictures that are written anew; others keep their bytes


Key = tuple[str, str]  # item, image


@dataclass(frozen=True, kw_only=True)
class PackedShard:
    items: pa.Table  # schema ITEMS
    quarantine: pa.Table  # schema QUARANTINE
    digests: pa.Table  # schema DIGESTS, of all pictures that could be used
    images: int


def pack_shard(
    rows: pa.Table,
    pictures: Pictures,
    *,
    crop: bool,
    size: int | None,
    annotated: Pictures | None = None,
    held: Mapping[Key, tuple[dict, str]] = MappingProxyType({}),
    drop: Collection[Key] = (),
) -> PackedShard:
    """`rows` (schema ANNOTATIONS, an item's rows adjacent) -> its items with their pictures.

    `crop` cuts each picture to its annotated box; `size` shrinks it until the shorter side has so many pixels (never
    enlarges). `annotated`: the pictures whose pixels the annotation counts in, where `pictures` are the same in another
    resolution. `held`: pictures that are packed already, and their digests; they are not read again. `drop`: pictures
    that are looked at and left out. A picture that cannot be read or decoded goes to the quarantine with its reason; an
    item without any picture left is dropped with its last one.
    """
    items: list[dict] = []
    bad: list[dict] = []
    digests: list[dict] = []
    with ThreadPoolExecutor(READERS) as pool:
        annotations = rows.to_pylist()
        keys = [(row.pop("item"), row["image"]) for row in annotations]
        addresses = [row.pop(ADDRESS.name) or picture_of(row["image"]) for row in annotations]
        needed = [address if key not in held else None for key, address in zip(keys, addresses, strict=True)]
        for place in (pictures, annotated):
            if place:
                place.stage(filter(None, needed))
        loaded = pool.map(lambda address: _load(address, pictures, annotated) if address else None, needed)
        for key, row, found in zip(keys, annotations, loaded, strict=True):
            try:
                if found is None:
                    packed, digest = held[key]
                else:
                    if isinstance(found, BadPicture):
                        raise found
                    data, counted_in = found
                    packed = pack_picture(data, row, crop=crop, size=size, annotated_size=counted_in)
                    digest = picture_digest(data, row["box"])
            except BadPicture as fault:
                picture = picture_of(row["image"])
                place = picture if scheme_of(picture) else f"{pictures.source.uri}/{picture}"
                about = {"item": key[0], "image": key[1], "split": row["split"]}
                bad.append(about | {"place": place, "reason": str(fault)})
                continue
            digests.append({"item": key[0], "image": key[1], "digest": digest})
            if key in drop:
                continue
            if not items or items[-1]["item"] != key[0]:
                items.append({"item": key[0], "images": []})
            items[-1]["images"].append(packed)
    return PackedShard(
        items=pa.Table.from_pylist(items, ITEMS),
        quarantine=pa.Table.from_pylist(bad, QUARANTINE),
        digests=pa.Table.from_pylist(digests, DIGESTS),
        images=sum(len(item["images"]) for item in items),
    )


def picture_digest(data: bytes, box: list[int] | None) -> str:
    """The same for the same bytes and box: another box of a picture may show another item."""
    return hashlib.blake2b(data, digest_size=16).hexdigest() + (f"/{','.join(map(str, box))}" if box else "")


def pack_picture(
    data: bytes, row: dict, *, crop: bool, size: int | None, annotated_size: tuple[int, int] | None = None
) -> dict:
    """The image struct of ITEMS: annotation and JPEG bytes, box and landmarks in the packed picture's pixels.

    `annotated_size` (width, height): of the picture that the annotation counts in, where it is another one. Raises
    BadPicture.
    """
    width, height = check(data)
    seen = annotated_size or (width, height)
    box = usable_box(row["box"], *seen) if row["box"] else None
    cut = scale_box(box, seen, (width, height)) if crop and box else (0, 0, width, height)
    x0, y0, x1, y1 = cut
    shrink = min(1.0, size / min(x1 - x0, y1 - y0)) if size else 1.0
    new = max(1, round((x1 - x0) * shrink)), max(1, round((y1 - y0) * shrink))
    whole = cut == (0, 0, width, height)
    keep = is_jpeg(data) and whole and new == (width, height)
    pixels = decode(data, size=None if keep else (new[1], new[0]), box=None if whole else cut)
    jpeg = data if keep else encode_jpeg(pixels, quality=QUALITY)
    if box is not None:
        box = None if crop else list(scale_box(box, seen, new))
    landmarks = row["landmarks"]
    if landmarks:
        # Annotated pixels -> the source picture's -> the packed one's.
        scale = width / seen[0] * new[0] / (x1 - x0), height / seen[1] * new[1] / (y1 - y0)
        origin = x0 * seen[0] / width, y0 * seen[1] / height
        landmarks = _move(landmarks, origin, scale)
    return {**row, "box": box, "landmarks": landmarks, "width": new[0], "height": new[1], "jpeg": jpeg}


def _load(
    address: str, pictures: Pictures, annotated: Pictures | None
) -> tuple[bytes, tuple[int, int] | None] | BadPicture:
    try:
        return pictures.fetch(address), check(annotated.fetch(address)) if annotated else None
    except FileNotFoundError:
        return BadPicture("the file is not there")
    except BadPicture as fault:
        return fault
    except InputError:  # in words without the path, so that reasons can be counted
        return BadPicture("its path, or a link on it, leads out of the source; --follow_links true follows links")


def _move(landmarks: list[float], origin: tuple[float, float], scale: tuple[float, float]) -> list[float]:
    moved = list(landmarks)
    for i in range(0, len(moved), 3):
        if moved[i] >= 0:
            moved[i + 1] = (moved[i + 1] - origin[0]) * scale[0]
            moved[i + 2] = (moved[i + 2] - origin[1]) * scale[1]
    return moved

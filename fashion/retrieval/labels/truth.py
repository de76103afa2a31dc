"""What is annotated of a picture, read from the item table."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from fashion.data.boxes import Box, shown_part
from fashion.retrieval.labels.space import LabelSpace


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is annotated of a picture, null where nothing is, and the part of it that the network is shown."""

    category: str | None
    attributes: list[str] | None
    landmarks: list[float] | None  # 8 x (visibility, x, y), in pixels
    part: Box
    size: tuple[int, int]  # width, height

    def digest(self, shown: str, space: LabelSpace) -> str:
        """`shown`, the digest of what the network sees, extended by all that the columns depend on beside it."""
        return hashlib.blake2b(f"{shown}\n{self}".encode(), digest_size=16, key=space.key).hexdigest()


def truths(rows: pa.Table, *, crop: bool) -> Iterator[Truth]:
    """Of each row an image of the item table. `crop`: the network is shown the box."""
    for row in rows.select(["category", "attributes", "landmarks", "box", "width", "height"]).to_pylist():
        box, size = row.pop("box"), (row.pop("width"), row.pop("height"))
        yield Truth(**row, part=shown_part(box if crop else None, *size), size=size)

"""What a gallery consists of: its images, counted and fingerprinted over its shards, and its items."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from fashion.retrieval.embeddings import EMBEDDING
from fashion.retrieval.gallery import ABOUT, OpenShard
from fashion.retrieval.map_sample import first_images

DIGEST_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class GalleryCounts:
    """The images of a gallery."""

    images: int
    total: int  # of their digests; see `set_fingerprint`
    items: pa.Table  # distinct pairs of `item` and `part`
    first: pa.Table  # the first image, by name, of each item that was asked for


def count_gallery(opened: OpenShard, asked: pa.Array) -> GalleryCounts:
    """The gallery images of one shard, and the first of each of the items `asked`."""
    rows = opened.images(["image", "item"])
    pairs = zip(rows["image"].to_pylist(), rows["item"].to_pylist(), strict=True)
    items = rows["item"].unique()
    return GalleryCounts(
        images=len(rows),
        total=digest_total(pairs),
        items=pa.table({"item": items, "part": pa.array([opened.shard.number] * len(items), pa.int64())}),
        first=first_images(opened.images([*ABOUT, EMBEDDING]), asked),
    )


def join_counts(parts: list[GalleryCounts], asked: pa.Array) -> GalleryCounts:
    """Of several shards together."""
    return GalleryCounts(
        images=sum(part.images for part in parts),
        total=sum(part.total for part in parts),
        items=pa.concat_tables([part.items for part in parts]),
        first=first_images(pa.concat_tables([part.first for part in parts]), asked),
    )


def digest_total(pairs: Iterable[tuple[str, str]]) -> int:
    """The sum of the digests of (image, item) pairs: it does not depend on their order, and adds up over shards."""
    texts = (f"{image}\0{item}".encode() for image, item in pairs)
    return sum(int.from_bytes(hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest(), "big") for text in texts)


def set_fingerprint(count: int, total: int) -> str:
    """A short name of a set of images: equal for equal sets, whatever their order and shards."""
    return hashlib.blake2b(f"{count} {total % 2 ** (8 * DIGEST_BYTES)}".encode(), digest_size=8).hexdigest()

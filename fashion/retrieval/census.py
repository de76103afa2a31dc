"""What a gallery consists of, counted over its shards."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from fashion.retrieval.gallery import Shard

DIGEST_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class Census:
    """The images of a gallery."""

    images: int
    domains: frozenset[str]
    total: int  # of their digests; see `set_fingerprint`


def census(part: Shard, asked: None) -> Census:
    """The gallery images of one shard."""
    rows = part.images(["image", "item", "domain"])
    pairs = zip(rows["image"].to_pylist(), rows["item"].to_pylist(), strict=True)
    return Census(images=len(rows), domains=frozenset(rows["domain"].unique().to_pylist()), total=digest_total(pairs))


def join_census(parts: list[Census], asked: None) -> Census:
    """Of several shards together."""
    domains = frozenset().union(*(part.domains for part in parts))
    return Census(images=sum(p.images for p in parts), domains=domains, total=sum(p.total for p in parts))


def digest_total(pairs: Iterable[tuple[str, str]]) -> int:
    """The sum of the digests of (image, item) pairs: it does not depend on their order, and adds up over shards."""
    texts = (f"{image}\0{item}".encode() for image, item in pairs)
    return sum(int.from_bytes(hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest(), "big") for text in texts)


def set_fingerprint(count: int, total: int) -> str:
    """A short name of a set of images: equal for equal sets, whatever their order and shards."""
    return hashlib.blake2b(f"{count} {total % 2 ** (8 * DIGEST_BYTES)}".encode(), digest_size=8).hexdigest()

"""What counts as a query, as the gallery and as a match: the choices that change a retrieval number.

The rules are DeepFashion's (in-shop and consumer-to-shop, CVPR 2016) and of the works that followed it; every choice
is written beside the result.
"""

from dataclasses import dataclass

from fashion.errors import InputError

TIES = "score descending, then image (or item) id ascending"


@dataclass(frozen=True, kw_only=True)
class ProtocolSettings:
    """How retrieval is counted."""

    query_split: str = "test"
    """Split that the queries come from: test or val."""
    gallery_splits: tuple[str, ...] | None = None
    """Splits that the gallery comes from. Default: the query split (in the category benchmark: train)."""
    positives: str = "item"
    """item: every gallery image of the query's item is a match. pair: only the shop photos that the query is
    annotated to match; other photos of its item are left out of its ranking. The category benchmark matches by
    category."""
    ranking: str = "image"
    """image: images are ranked. item: items, each by its best image. centroid: items, each by its images' mean."""
    ks: tuple[int, ...] = (1, 5, 10, 20, 50)
    """The k of recall@k."""

    def __post_init__(self):
        for name, allowed in {
            "query_split": ("test", "val"),
            "positives": ("item", "pair"),
            "ranking": ("image", "item", "centroid"),
        }.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"protocol.{name}: found {getattr(self, name)!r}, expected one of {', '.join(allowed)}"
                )
        unknown = [s for s in self.gallery_splits or () if s not in ("train", "val", "test")]
        if unknown:
            raise InputError(f"protocol.gallery_splits: found {unknown[0]!r}, expected train, val or test")
        if not self.ks or min(self.ks) < 1:
            raise InputError(f"protocol.ks: found {list(self.ks)}, expected whole numbers of at least 1")
        if self.positives == "pair" and self.ranking != "image":
            raise InputError(
                f"protocol.ranking: found {self.ranking!r} with positives=pair, expected image: a pair names one "
                "photo, not an item"
            )


def describe(settings: ProtocolSettings, *, benchmark: str, crop: str) -> dict:
    """The protocol as it is written beside a result."""
    by_category = benchmark == "category-attribute"
    return {
        "benchmark": benchmark,
        "query_split": settings.query_split,
        "gallery_splits": list(gallery_splits(settings, benchmark)),
        "positives": "category" if by_category else settings.positives,
        "crop": crop,
        "ranking": settings.ranking,
        "ties": TIES,
    }


def gallery_splits(settings: ProtocolSettings, benchmark: str) -> tuple[str, ...]:
    if settings.gallery_splits is not None:
        return tuple(settings.gallery_splits)
    return ("train",) if benchmark == "category-attribute" else (settings.query_split,)

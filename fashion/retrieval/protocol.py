"""What counts as a query, as the gallery and as a match: the choices that change a retrieval number.

The rules are DeepFashion's (in-shop and consumer-to-shop, CVPR 2016) and of the works that followed it; every choice
is written beside the result.
"""

from dataclasses import dataclass

import numpy as np

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


@dataclass(frozen=True, kw_only=True)
class Relevance:
    """Which columns of the gallery match, or are left out for, each query; indices in CSR form."""

    match: np.ndarray  # (M,) gallery columns
    match_at: np.ndarray  # (Q + 1,) query q matches match[match_at[q]:match_at[q + 1]]
    ignore: np.ndarray
    ignore_at: np.ndarray

    def counts(self) -> np.ndarray:
        """(Q,) matches of each query."""
        return np.diff(self.match_at)


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


def match_labels(query_labels: np.ndarray, gallery_labels: np.ndarray) -> Relevance:
    """A gallery column matches where its label (item or category; any type) equals the query's."""
    order = np.argsort(gallery_labels, kind="stable")
    ordered = gallery_labels[order]
    low = np.searchsorted(ordered, query_labels, side="left")
    counts = np.searchsorted(ordered, query_labels, side="right") - low
    at = np.r_[0, np.cumsum(counts)]
    match = order[np.repeat(low - at[:-1], counts) + np.arange(at[-1])]
    return Relevance(match=match, match_at=at, ignore=np.empty(0, np.int64), ignore_at=np.zeros_like(at))


def match_pairs(query_pairs: list[list[str]], gallery_images: np.ndarray, same_item: Relevance) -> Relevance:
    """A gallery image matches where the query is paired with it; the rest of `same_item` is left out."""
    column = {image: i for i, image in enumerate(gallery_images.tolist())}
    match, ignore = [], []
    for q, pairs in enumerate(query_pairs):
        wanted = {column[image] for image in pairs if image in column}
        own = same_item.match[same_item.match_at[q] : same_item.match_at[q + 1]].tolist()
        match.append(sorted(wanted))
        ignore.append(sorted(set(own) - wanted))
    return Relevance(**_csr("match", match), **_csr("ignore", ignore))


def _csr(name: str, lists: list[list[int]]) -> dict[str, np.ndarray]:
    return {
        name: np.array([i for row in lists for i in row], np.int64),
        f"{name}_at": np.r_[0, np.cumsum([len(row) for row in lists])].astype(np.int64),
    }

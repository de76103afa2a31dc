"""What counts as a query, as the gallery and as a match: the choices that change a retrieval number.

The rules are DeepFashion's (in-shop and consumer-to-shop, CVPR 2016) and of the works that followed it; every choice
is written beside the result.
"""

from dataclasses import dataclass

from fashion.errors import InputError
from fashion.retrieval.search.blend import RESTRICT, Blend
from fashion.retrieval.search.expansion import Expansion
from fashion.retrieval.search.reranking import Reranking

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
    expansion: int = 0
    """Query expansion: a query is averaged with so many of what it finds first, and asks again. 0: off."""
    expansion_power: float = 3.0
    """Of a found column's score, its weight in that average (alpha-QE). 0: all weigh as much as the query."""
    reranking: int = 0
    """k-reciprocal re-ranking (Zhong et al. 2017) of so many of each query's best columns. 0: off."""
    reranking_k1: int = 20
    """Its neighbours."""
    reranking_k2: int = 6
    """Its neighbours that are averaged over."""
    reranking_weight: float = 0.3
    """Its lambda: the weight of the original distance, from 0 to 1."""
    category: str = "ignore"
    """ignore: embeddings alone are compared. weigh: also how far the predicted categories agree. restrict: images of the
    query's predicted category come first, in the order of their embeddings, then the others. For networks with
    network.design fashionnet."""
    category_weight: float = 0.1
    """For weigh: the weight of the categories' agreement (0 to 1), where the embeddings' cosine has weight 1."""

    def __post_init__(self):
        for name, allowed in {
            "query_split": ("test", "val"),
            "positives": ("item", "pair"),
            "ranking": ("image", "item", "centroid"),
            "category": ("ignore", "weigh", "restrict"),
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
        for name in ("expansion", "reranking", "expansion_power"):
            if getattr(self, name) < 0:
                raise InputError(f"protocol.{name}: found {getattr(self, name)}, expected 0 or more")
        for name in ("reranking_k1", "reranking_k2"):
            if getattr(self, name) < 1:
                raise InputError(f"protocol.{name}: found {getattr(self, name)}, expected at least 1")
        if not 0 < self.category_weight <= 1000:
            raise InputError(f"protocol.category_weight: found {self.category_weight}, expected above 0, at most 1000")
        if not 0 <= self.reranking_weight <= 1:
            raise InputError(f"protocol.reranking_weight: found {self.reranking_weight}, expected 0 to 1")
        if self.ranking == "item" and (self.expansion or self.reranking):
            raise InputError(
                "protocol.ranking: found item with expansion or reranking, expected image or centroid: they need one "
                "vector for each that is ranked"
            )
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
        **_refinements(settings),
    }


def _refinements(settings: ProtocolSettings) -> dict:
    """What is done beside plain ranking; nothing is said where nothing is done."""
    said = {}
    if settings.category != "ignore":
        said["category"] = f"{settings.category} by the predicted category"
    if settings.category == "weigh":
        said["category_weight"] = settings.category_weight
    if settings.expansion:
        said |= {"expansion": settings.expansion, "expansion_power": settings.expansion_power}
    if settings.reranking:
        names = ("reranking", "reranking_k1", "reranking_k2", "reranking_weight")
        said |= {name: getattr(settings, name) for name in names}
    return said


def blend(settings: ProtocolSettings) -> Blend | None:
    """As `Shard` takes it; None where the predicted category is ignored."""
    if settings.category == "ignore":
        return None
    return Blend(weight=settings.category_weight) if settings.category == "weigh" else RESTRICT


def check_category(settings: ProtocolSettings, *, predicted: bool) -> None:
    """Raises InputError where the search needs categories that the network does not predict."""
    if settings.category != "ignore" and not predicted:
        raise InputError(
            f"protocol.category: found {settings.category}, but this network predicts no category; set ignore, or train "
            "one with network.design fashionnet on data with categories"
        )


def expansion(settings: ProtocolSettings) -> Expansion | None:
    """As `rank` takes it."""
    return Expansion(columns=settings.expansion, power=settings.expansion_power) if settings.expansion else None


def reranking(settings: ProtocolSettings) -> Reranking | None:
    """As `rank` takes it."""
    if not settings.reranking:
        return None
    return Reranking(
        columns=settings.reranking,
        k1=settings.reranking_k1,
        k2=settings.reranking_k2,
        weight=settings.reranking_weight,
    )


def gallery_splits(settings: ProtocolSettings, benchmark: str) -> tuple[str, ...]:
    if settings.gallery_splits is not None:
        return tuple(settings.gallery_splits)
    return ("train",) if benchmark == "category-attribute" else (settings.query_split,)

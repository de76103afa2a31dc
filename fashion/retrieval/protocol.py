"""What counts as a query, as the gallery and as a match: the choices that change a retrieval number.

The rules are DeepFashion's (in-shop and consumer-to-shop, CVPR 2016) and of the works that followed it; every choice
is written beside the result.
"""

from typing import Any

from fashion.errors import InputError
from fashion.retrieval.search.refinements import RESTRICT, Blend, Expansion, Reranking
from fashion.retrieval.settings import ProtocolSettings

TIES = "score descending, then image (or item) id ascending"


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
    said: dict[str, Any] = {}
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

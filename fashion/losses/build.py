"""From settings to a loss: the one place that knows every formula."""

from typing import TypeVar

from torch import nn

from fashion.losses.centroid_triplet import CentroidTripletLoss
from fashion.losses.contrast import MultiSimilarityLoss, SupervisedContrastiveLoss
from fashion.losses.distances import DISTANCES
from fashion.losses.improved_triplet import ImprovedTripletLoss
from fashion.losses.margin import MarginLoss
from fashion.losses.memory import CrossBatchMemory
from fashion.losses.metric_loss import MetricLoss
from fashion.losses.proxies import NormalisedSoftmaxLoss, ProxyAnchorLoss
from fashion.losses.quadruplet import QuadrupletLoss
from fashion.losses.settings import LossSettings
from fashion.losses.triplet import Mining, TripletLoss
from fashion.losses.tuplet import TupletLoss

Value = TypeVar("Value")


def build_loss(settings: LossSettings, *, dimension: int, classes: int, seed: int = 0) -> MetricLoss:
    """The loss for embeddings of `dimension` numbers and `classes` training items. Its parameters (proxies, the margin
    loss's boundary), if any, are to be trained with the network's; proxies start from `seed`."""
    settings = settings.filled()
    formula = _formula(settings, dimension=dimension, classes=classes, seed=seed)
    memory = CrossBatchMemory(settings.memory, dimension, warmup=settings.memory_warmup) if settings.memory else None
    return MetricLoss(settings, formula, memory)


def _formula(s: LossSettings, *, dimension: int, classes: int, seed: int) -> nn.Module:
    """A module from a Comparison to a 0-d loss. `s` is filled."""
    match s.name:
        case "tuplet":
            return TupletLoss(margin=_set(s.margin), temperature=_set(s.temperature))
        case "infonce":
            return TupletLoss(margin=0.0, temperature=_set(s.temperature))
        case "multi-similarity":
            return MultiSimilarityLoss(
                positive_scale=_set(s.positive_scale),
                negative_scale=_set(s.negative_scale),
                threshold=_set(s.threshold),
            )
        case "supervised-contrastive":
            return SupervisedContrastiveLoss(temperature=_set(s.temperature))
        case "proxy-anchor":
            return ProxyAnchorLoss(
                margin=_set(s.margin), dimension=dimension, classes=classes, temperature=_set(s.temperature), seed=seed
            )
        case "normalised-softmax":
            return NormalisedSoftmaxLoss(
                dimension=dimension, classes=classes, temperature=_set(s.temperature), seed=seed
            )
        case "margin":
            return MarginLoss(_mining(s, dimension), margin=_set(s.margin), boundary=_set(s.boundary))
    triplet = TripletLoss(_mining(s, dimension), margin=_set(s.margin), temperature=s.temperature)
    match s.name:
        case "triplet" | "soft-triplet":
            return triplet
        case "improved-triplet":
            return ImprovedTripletLoss(triplet, bound=_set(s.bound), weight=_set(s.weight))
        case "centroid-triplet":
            return CentroidTripletLoss(triplet)
        case "quadruplet":
            second = TripletLoss(_mining(s, dimension), margin=_set(s.second_margin))
            return QuadrupletLoss(triplet, second, weight=_set(s.weight))
    raise AssertionError(f"{s.name} is in USUAL but has no formula")


def _mining(s: LossSettings, dimension: int) -> Mining:
    return Mining(
        name=_set(s.mining),
        fallback=s.fallback,
        distance=DISTANCES[_set(s.distance)],
        dimension=dimension,
        active_only=s.reduction == "active",
    )


def _set(value: Value | None) -> Value:
    """A setting that the loss has, so that `filled` gave it a value."""
    assert value is not None
    return value

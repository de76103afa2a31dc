"""From settings to a loss: the one place that knows every formula."""

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


def build_loss(settings: LossSettings, *, dimension: int, classes: int, seed: int = 0) -> MetricLoss:
    """The loss for embeddings of `dimension` numbers and `classes` training items. Its parameters (proxies, the margin
    loss's boundary), if any, are to be trained with the network's; proxies start from `seed`."""
    settings = settings.filled()
    formula = _formula(settings, dimension=dimension, classes=classes, seed=seed)
    memory = CrossBatchMemory(settings.memory, dimension, warmup=settings.memory_warmup) if settings.memory else None
    return MetricLoss(settings, formula, memory)


def _formula(s: LossSettings, *, dimension: int, classes: int, seed: int) -> nn.Module:
    """A module from a Comparison to a 0-d loss. `s` is filled."""
    proxies = {"dimension": dimension, "classes": classes, "temperature": s.temperature, "seed": seed}
    match s.name:
        case "tuplet":
            return TupletLoss(margin=s.margin, temperature=s.temperature)
        case "infonce":
            return TupletLoss(margin=0.0, temperature=s.temperature)
        case "multi-similarity":
            return MultiSimilarityLoss(
                positive_scale=s.positive_scale, negative_scale=s.negative_scale, threshold=s.threshold
            )
        case "supervised-contrastive":
            return SupervisedContrastiveLoss(temperature=s.temperature)
        case "proxy-anchor":
            return ProxyAnchorLoss(margin=s.margin, **proxies)
        case "normalised-softmax":
            return NormalisedSoftmaxLoss(**proxies)
        case "margin":
            return MarginLoss(_mining(s, dimension), margin=s.margin, boundary=s.boundary)
    triplet = TripletLoss(_mining(s, dimension), margin=s.margin, temperature=s.temperature)
    match s.name:
        case "triplet" | "soft-triplet":
            return triplet
        case "improved-triplet":
            return ImprovedTripletLoss(triplet, bound=s.bound, weight=s.weight)
        case "centroid-triplet":
            return CentroidTripletLoss(triplet)
        case "quadruplet":
            return QuadrupletLoss(triplet, TripletLoss(_mining(s, dimension), margin=s.second_margin), weight=s.weight)
    raise AssertionError(f"{s.name} is in USUAL but has no formula")


def _mining(s: LossSettings, dimension: int) -> Mining:
    return Mining(
        name=s.mining,
        fallback=s.fallback,
        distance=DISTANCES[s.distance],
        dimension=dimension,
        active_only=s.reduction == "active",
    )

"""A loss on embeddings: built from its settings, with the one place that knows every formula; then references, relations
and distance of a batch, the formula on them and what it tells."""

import warnings
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from fashion.losses.centroid_triplet import CentroidTripletLoss
from fashion.losses.comparison import Comparison
from fashion.losses.contrast import MultiSimilarityLoss, SupervisedContrastiveLoss
from fashion.losses.distances import DISTANCES
from fashion.losses.improved_triplet import ImprovedTripletLoss
from fashion.losses.margin import MarginLoss
from fashion.losses.memory import CrossBatchMemory
from fashion.losses.mining import Mining
from fashion.losses.proxies import NormalisedSoftmaxLoss, ProxyAnchorLoss
from fashion.losses.quadruplet import QuadrupletLoss
from fashion.losses.relations import Identity, relate
from fashion.losses.settings import LossSettings
from fashion.losses.soft_triplet import SoftTripletLoss
from fashion.losses.statistics import measure
from fashion.losses.triplet import TripletLoss
from fashion.losses.tuplet import TupletLoss

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class LossResult:
    """loss: 0-d, to call backward on. statistics: name to 0-d tensor without gradient, see statistics.py."""

    loss: Tensor
    statistics: dict[str, Tensor]


class MetricLoss(nn.Module):
    """A loss on embeddings, with its memory. Built by `build_loss`."""

    def __init__(self, settings: LossSettings, formula: nn.Module, memory: CrossBatchMemory | None):
        super().__init__()
        self.settings, self.formula, self.memory = settings, formula, memory
        self.checked = False
        self.distance = DISTANCES[settings.distance or "cosine"]
        self.domains = settings.domains or "cross"

    def forward(
        self,
        z_BD: Tensor,
        labels_B: Tensor,
        domains_B: Tensor,
        *,
        pairs_B: Tensor | None = None,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
        ref_domains: Tensor | None = None,
        ref_pairs: Tensor | None = None,
        own_B: Tensor | None = None,
        norms_B: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> LossResult:
        """Loss and statistics of B anchors.

        z_BD: embeddings, computed with in float32 at least, also under autocast.
        labels_B, domains_B, pairs_B (B,) int64: item (a class index 0 .. classes - 1 for the proxy losses), domain and
        pair, see `relations.Identity`.
        ref_*: R references to compare with instead of the batch; own_B (B,) int64 says which of them is the anchor
        itself, -1 for none. Without references the batch is its own, and no image is compared with itself.
        In training mode the memory's embeddings are further references, and the batch is put into it afterwards.
        norms_B: lengths before normalisation, for the statistics. generator: for the minings that draw.
        """
        with torch.autocast(z_BD.device.type, enabled=False):
            z_BD = _at_least_float32(z_BD)
            anchors = Identity(labels=labels_B, domains=domains_B, pairs=pairs_B)
            z_RD, references = z_BD, anchors
            if ref_embeddings is not None:
                if ref_labels is None or ref_domains is None:
                    raise ValueError("ref_embeddings: found without ref_labels or ref_domains, expected all three")
                z_RD = _at_least_float32(ref_embeddings)
                references = Identity(labels=ref_labels, domains=ref_domains, pairs=ref_pairs)
                own_B = torch.full_like(labels_B, -1) if own_B is None else own_B
            else:
                own_B = torch.arange(len(z_BD), device=z_BD.device)
            memory = self.memory if self.training else None
            past = memory.recall(pairs=references.pairs is not None) if memory is not None else None
            if past is not None:
                z_RD, references = torch.cat([z_RD, past[0].to(z_RD)]), references.followed_by(past[1])
            comparison = self._compare(z_BD, z_RD, anchors, references, own_B, generator)
            loss = self.formula(comparison)
            statistics = measure(comparison, margin=self.settings.margin or 0.0, norms_B=norms_B)
            self._check_first(anchors, references)
            if memory is not None:
                memory.put(z_BD, anchors)
        return LossResult(loss=loss, statistics=statistics)

    def _check_first(self, anchors: Identity, references: Identity) -> None:
        """The first batch alone is looked at, for it costs a GPU a stop; a training run's advice tells of every epoch."""
        if self.checked:
            return
        self.checked = True
        if self.domains == "cross" and len(torch.cat([anchors.domains, references.domains]).unique()) == 1:
            warnings.warn(
                "loss.domains is cross and all images of the first batch are of one domain: no anchor has a positive or a "
                "negative, so the loss is 0; give both domains (0 consumer, 1 shop), or set domains any",
                stacklevel=4,
            )

    def _compare(
        self,
        z_AD: Tensor,
        z_RD: Tensor,
        anchors: Identity,
        references: Identity,
        own_A: Tensor,
        generator: torch.Generator | None,
    ) -> Comparison:
        s = self.settings
        relations = relate(
            anchors, references, domains=self.domains, direction=s.direction, positives=s.positives, own_A=own_A
        )
        return Comparison(
            z_AD=z_AD,
            z_RD=z_RD,
            anchors=anchors,
            references=references,
            relations=relations,
            distance=self.distance,
            distance_AR=self.distance.between(z_AD, z_RD),
            by_domain=self.domains != "any",
            generator=generator,
        )


def _at_least_float32(z: Tensor) -> Tensor:
    return z.float() if z.dtype in (torch.bfloat16, torch.float16) else z


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
        case "soft-triplet":
            return SoftTripletLoss(_mining(s, dimension), margin=_set(s.margin), temperature=_set(s.temperature))
    triplet = TripletLoss(_mining(s, dimension), margin=_set(s.margin))
    match s.name:
        case "triplet":
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

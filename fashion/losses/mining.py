"""Which triplets of a batch count: a short list of them, at most one for each positive pair.

(`all` and `semi-hard` need no list: see triplet.py.)
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fashion.losses.distances import Distance
from fashion.losses.relations import Relations

# Wu et al. 2017: nearer negatives are treated as this far, or noise would be chosen; unit-length Euclidean.
NEAREST = 0.5
# Beyond this a negative is past the margin loss's usual boundary and margin and teaches nothing; unit-length Euclidean.
FARTHEST = 1.4


@dataclass(frozen=True, kw_only=True)
class Triplets:
    """T triplets: anchors, and the references that are their positive and negative, each (T,) int64."""

    anchor: Tensor
    positive: Tensor
    negative: Tensor


@dataclass(frozen=True, kw_only=True)
class Mining:
    """Which triplets count (settings.py says what each name means), and whether the mean is over the active ones."""

    name: str
    fallback: bool
    distance: Distance
    dimension: int
    active_only: bool

    def triplets(
        self, positive_d_AR: Tensor, negative_d_AR: Tensor, relations: Relations, generator: torch.Generator | None
    ) -> Triplets:
        """The chosen triplets of a mining that lists them: random, hard or distance-weighted."""
        if self.name == "random":
            return random_triplets(relations, generator)
        if self.name == "hard":
            return hard_triplets(positive_d_AR.detach(), negative_d_AR.detach(), relations)
        euclidean_AR = self.distance.to_euclidean(negative_d_AR.detach())
        return distance_weighted_triplets(euclidean_AR, relations, self.dimension, generator)

    @property
    def lists(self) -> bool:
        return self.name not in ("all", "semi-hard")

    @property
    def semi_hard(self) -> bool:
        return self.name == "semi-hard"


def random_triplets(relations: Relations, generator: torch.Generator | None) -> Triplets:
    """For each positive pair one negative of its anchor, drawn uniformly."""
    return _drawn(relations, relations.negative_AR.double(), generator)


def hard_triplets(positive_d_AR: Tensor, negative_d_AR: Tensor, relations: Relations) -> Triplets:
    """For each anchor its farthest positive and its nearest negative (Hermans et al. 2017)."""
    anchor = relations.positive_AR.any(1).nonzero().squeeze(1)
    positive = positive_d_AR.masked_fill(~relations.positive_AR, -torch.inf).argmax(1)
    negative = negative_d_AR.masked_fill(~relations.negative_AR, torch.inf).argmin(1)
    return Triplets(anchor=anchor, positive=positive[anchor], negative=negative[anchor])


def distance_weighted_triplets(
    euclidean_AR: Tensor, relations: Relations, dimension: int, generator: torch.Generator | None
) -> Triplets:
    """For each positive pair one negative of its anchor, drawn by `distance_weights` (Wu et al. 2017)."""
    return _drawn(relations, distance_weights(euclidean_AR, relations.negative_AR, dimension), generator)


def distance_weights(euclidean_AR: Tensor, negative_AR: Tensor, dimension: int) -> Tensor:
    """Weights (A, R) float64 with which each negative is drawn, so that all distances are equally likely.

    1 / q(d), scaled to at most 1: q is the density of distances between uniform points on the unit sphere in D
    dimensions, log q = (D - 2) log d + (D - 3) / 2 log(1 - d^2 / 4). d is at least NEAREST. Negatives beyond FARTHEST
    have weight 0, but an anchor with none nearer draws uniformly.
    """
    d = euclidean_AR.double().clamp(NEAREST, FARTHEST)
    log_weight = (2 - dimension) * d.log() - (dimension - 3) / 2 * (1 - d.square() / 4).log()
    near = negative_AR & (euclidean_AR <= FARTHEST)
    log_weight = log_weight.masked_fill(~near, -torch.inf)
    highest = log_weight.amax(1, keepdim=True)
    weight = (log_weight - highest.masked_fill(highest.isinf(), 0)).exp()
    return torch.where(near.any(1, keepdim=True), weight, negative_AR.double())


def _drawn(relations: Relations, weight_AR: Tensor, generator: torch.Generator | None) -> Triplets:
    """A draw with replacement for every positive, by inverting each anchor's cumulated weights.

    The uniform numbers come from the generator's own device, so a seed means the same triplets on every device.
    """
    positives = relations.positives
    source = generator.device if generator is not None else weight_AR.device
    # 24 random bits: below 1 also after the product with the total, so that a draw never falls off the end.
    uniform = torch.rand(positives.index_AP.shape, generator=generator, device=source, dtype=torch.float32).to(
        weight_AR
    )
    total = weight_AR.cumsum(1)
    negative_AP = torch.searchsorted(total, uniform * total[:, -1:], right=True)
    anchor, rank = positives.valid_AP.nonzero(as_tuple=True)
    return Triplets(anchor=anchor, positive=positives.index_AP[anchor, rank], negative=negative_AP[anchor, rank])

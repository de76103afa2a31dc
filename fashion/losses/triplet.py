"""Triplets: an anchor's positive has to be nearer than its negative, by a margin."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from fashion.losses import mining as listed
from fashion.losses.comparison import Comparison
from fashion.losses.distances import Distance
from fashion.losses.relations import Relations
from fashion.losses.soft_triplets import soft_sum
from fashion.losses.sorted_triplets import TripletCounts, hinge_sum


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
    ) -> listed.Triplets:
        """The chosen triplets of a mining that lists them: random, hard or distance-weighted."""
        if self.name == "random":
            return listed.random_triplets(relations, generator)
        if self.name == "hard":
            return listed.hard_triplets(positive_d_AR.detach(), negative_d_AR.detach(), relations)
        euclidean_AR = self.distance.to_euclidean(negative_d_AR.detach())
        return listed.distance_weighted_triplets(euclidean_AR, relations, self.dimension, generator)

    @property
    def lists(self) -> bool:
        return self.name not in ("all", "semi-hard")

    @property
    def semi_hard(self) -> bool:
        return self.name == "semi-hard"


class TripletLoss(nn.Module):
    """Mean over mined triplets of max(0, d_ap - d_an + margin), or with a temperature T the soft form
    log(1 + exp((d_ap - d_an + margin) / T)) (Schroff et al. 2015; soft: Hermans et al. 2017)."""

    def __init__(self, mining: Mining, *, margin: float, temperature: float | None = None):
        super().__init__()
        self.mining, self.margin, self.temperature = mining, margin, temperature

    def forward(self, c: Comparison) -> Tensor:
        counts = c.active(self.margin) if self.mining.name == "all" and self.temperature is None else None
        return self.between(c.distance_AR, c.distance_AR, c.relations, c.generator, counts)

    def between(
        self,
        positive_d_AR: Tensor,
        negative_d_AR: Tensor,
        relations: Relations,
        generator: torch.Generator | None,
        counts: TripletCounts | None = None,
    ) -> Tensor:
        """The loss with positives read from one matrix of distances and negatives from another. `counts`: of all active
        triplets, where they are known."""
        mining = self.mining
        if mining.lists:
            chosen = mining.triplets(positive_d_AR, negative_d_AR, relations, generator)
            near, far = positive_d_AR[chosen.anchor, chosen.positive], negative_d_AR[chosen.anchor, chosen.negative]
            excess = near - far + self.margin
            if self.temperature is not None:
                return _mean(softplus(excess / self.temperature).sum(), len(excess))
            return _mean(relu(excess).sum(), (excess > 0).sum() if mining.active_only else len(excess))
        if self.temperature is not None:
            total, number = soft_sum(
                positive_d_AR,
                negative_d_AR,
                relations,
                margin=self.margin,
                temperature=self.temperature,
                semi_hard=mining.semi_hard,
                fallback=mining.fallback,
            )
            return _mean(total, number)
        total, counts = hinge_sum(
            positive_d_AR,
            negative_d_AR,
            relations,
            self.margin,
            semi_hard=mining.semi_hard,
            fallback=mining.fallback,
            counts=counts,
        )
        return _mean(total, counts.active if mining.active_only else counts.mined)


def _mean(total: Tensor, number: Tensor | int) -> Tensor:
    """The mean, and an attached zero of no terms."""
    return total / (number.clamp_min(1) if isinstance(number, Tensor) else max(number, 1))

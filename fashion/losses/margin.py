"""Margin loss: positives inside, negatives outside of a learned distance."""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from fashion.losses.comparison import Comparison
from fashion.losses.mining import Mining
from fashion.losses.triplet import count_triplets


class MarginLoss(nn.Module):
    """Over mined triplets, max(0, d_ap - b + margin) + max(0, b - d_an + margin) (Wu et al. 2017).

    The sum is divided by the number of terms that are not zero, or of all terms. The boundary b is a parameter. A term
    has one pair only, so all triplets cost no more than all pairs: a pair counts as often as it is in a triplet.
    """

    def __init__(self, mining: Mining, *, margin: float, boundary: float):
        super().__init__()
        self.mining, self.margin = mining, margin
        self.boundary = nn.Parameter(torch.tensor(float(boundary)))

    def forward(self, c: Comparison) -> Tensor:
        near, near_uses, far, far_uses = self._pairs(c)
        boundary = self.boundary.to(near.dtype)
        pull, push = relu(near - boundary + self.margin), relu(boundary - far + self.margin)
        total = (near_uses * pull).sum() + (far_uses * push).sum()
        if self.mining.active_only:
            near_uses, far_uses = near_uses * (pull > 0), far_uses * (push > 0)
        return total / (near_uses.sum() + far_uses.sum()).clamp_min(1)

    def _pairs(self, c: Comparison) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Distances of positives and of how many triplets each is part of, and the same of negatives."""
        d_AR, relations = c.distance_AR, c.relations
        if self.mining.lists:
            chosen = self.mining.triplets(d_AR, d_AR, relations, c.generator)
            near, far = d_AR[chosen.anchor, chosen.positive], d_AR[chosen.anchor, chosen.negative]
            return near, torch.ones_like(near), far, torch.ones_like(far)
        if self.mining.semi_hard:
            counts = count_triplets(d_AR, d_AR, relations, self.margin, semi_hard=True, fallback=self.mining.fallback)
            return d_AR.gather(1, counts.index_AP), counts.positive_AP, d_AR, counts.negative_AR
        positive_AR, negative_AR = relations.positive_AR.to(d_AR.dtype), relations.negative_AR.to(d_AR.dtype)
        near_uses = positive_AR * negative_AR.sum(1, keepdim=True)
        return d_AR, near_uses, d_AR, negative_AR * positive_AR.sum(1, keepdim=True)

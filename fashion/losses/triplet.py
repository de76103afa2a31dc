"""Triplets: an anchor's positive has to be nearer than its negative, by a margin.

Batch-all and semi-hard triplets without a list of them: O(A R log P) time and O(A R) memory, also in backward. An anchor
has P positives, P small. With its positives' distances sorted, t_1 <= .. <= t_P, a negative at distance d makes an active
triplet, t_k + m > d, with every k after the first `low` = #{k: t_k + m <= d}; it is semi-hard, t_k < d, for the first
`high` = #{k: t_k < d}. So two searches count a negative's triplets, and the histograms of `low` and `high` a positive's.
With these counts c the sum is linear: sum (t - d + m) = sum c_k t_k - sum c_n d_n + m * number.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from fashion.losses.comparison import Comparison
from fashion.losses.mining import Mining
from fashion.losses.relations import Relations


class TripletLoss(nn.Module):
    """Mean over mined triplets of max(0, d_ap - d_an + margin) (Schroff et al. 2015)."""

    def __init__(self, mining: Mining, *, margin: float):
        super().__init__()
        self.mining, self.margin = mining, margin

    def forward(self, c: Comparison) -> Tensor:
        counts = active_triplets(c, self.margin) if self.mining.name == "all" else None
        return self.between(c.distance_AR, c.distance_AR, c.relations, c.generator, counts)

    def between(
        self,
        positive_d_AR: Tensor,
        negative_d_AR: Tensor,
        relations: Relations,
        generator: torch.Generator | None,
        counts: "TripletCounts | None" = None,
    ) -> Tensor:
        """The loss with positives read from one matrix of distances and negatives from another. `counts`: of all active
        triplets, where they are known."""
        mining = self.mining
        if mining.lists:
            chosen = mining.triplets(positive_d_AR, negative_d_AR, relations, generator)
            near, far = positive_d_AR[chosen.anchor, chosen.positive], negative_d_AR[chosen.anchor, chosen.negative]
            excess = near - far + self.margin
            number = (excess > 0).sum().clamp_min(1) if mining.active_only else max(1, len(excess))
            return relu(excess).sum() / number
        counts = counts or count_triplets(
            positive_d_AR,
            negative_d_AR,
            relations,
            self.margin,
            semi_hard=mining.semi_hard,
            fallback=mining.fallback,
        )
        positive = counts.positive_AP * positive_d_AR.gather(1, counts.index_AP)
        negative = counts.negative_AR * negative_d_AR
        total = positive.sum() - negative.sum() + self.margin * counts.active.to(negative.dtype)
        return total / (counts.active if mining.active_only else counts.mined).clamp_min(1)


@dataclass(frozen=True, kw_only=True)
class TripletCounts:
    """In how many active triplets each pair is. Counts in the distances' dtype, without gradient.

    index_AP: reference of each positive, nearest first (0 where there is none: its count is 0).
    positive_AP, negative_AR: counts of the anchor's positives and references.
    active, mined: 0-d int64, the number of active triplets and of all that the mining looks at.
    """

    index_AP: Tensor
    positive_AP: Tensor
    negative_AR: Tensor
    active: Tensor
    mined: Tensor


@torch.no_grad()
def count_triplets(
    positive_d_AR: Tensor,
    negative_d_AR: Tensor,
    relations: Relations,
    margin: float,
    *,
    semi_hard: bool = False,
    fallback: bool = False,
) -> TripletCounts:
    """Counts of the triplets (a, p, n) with d_ap + margin > d_an and, if semi_hard, d_an > d_ap.

    fallback: a positive without a negative beyond it makes one triplet with the anchor's farthest negative, the usual
    way to keep every positive in use in FaceNet's mining.
    """
    positives = relations.positives
    near_AP = positive_d_AR.gather(1, positives.index_AP).masked_fill(~positives.valid_AP, torch.inf)
    near_AP, order_AP = near_AP.sort(1)
    # A reference that is no negative lies beyond every positive: it is in no triplet.
    far_AR = negative_d_AR.masked_fill(~relations.negative_AR, torch.inf)

    low_AR = torch.searchsorted(near_AP + margin, far_AR, right=True, out_int32=True)
    width = near_AP.shape[1]
    count_AP = _histogram(low_AR, width, far_AR.dtype).cumsum(1)
    if semi_hard:
        high_AR = torch.maximum(torch.searchsorted(near_AP, far_AR, out_int32=True), low_AR)
        count_AP -= _histogram(high_AR, width, far_AR.dtype).cumsum(1)
        negative_AR = high_AR.sub_(low_AR)
    else:
        negative_AR = low_AR.neg_().add_(positives.count_A[:, None]).clamp_min_(0)
    count_AP.masked_fill_(~positives.valid_AP, 0)
    active = count_AP.long().sum()
    negative_AR = negative_AR.to(far_AR.dtype)

    if fallback:
        far_A1, farthest_A1 = far_AR.masked_fill(~relations.negative_AR, -torch.inf).max(1, keepdim=True)
        left_AP = positives.valid_AP & (near_AP >= far_A1)
        count_AP += left_AP
        negative_AR.scatter_add_(1, farthest_A1, left_AP.sum(1, keepdim=True).to(negative_AR.dtype))
        active = active + left_AP.sum()
    return TripletCounts(
        index_AP=positives.index_AP.gather(1, order_AP),
        positive_AP=count_AP,
        negative_AR=negative_AR,
        active=active,
        mined=active if semi_hard else relations.triplets,
    )


def active_triplets(c: Comparison, margin: float) -> TripletCounts:
    """Of all triplets, mined or not, those with d_ap + margin > d_an; counted once for the statistics and the loss."""
    if margin not in c.counts:
        c.counts[margin] = count_triplets(c.distance_AR, c.distance_AR, c.relations, margin)
    return c.counts[margin]


def _histogram(values_AR: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """How often each of 0 .. width - 1 is in a row, (A, width); values are 0 .. width. Whole numbers add exactly in any
    order, so this is deterministic on every device."""
    bins = torch.zeros(len(values_AR), width + 1, dtype=dtype, device=values_AR.device)
    return bins.scatter_add_(1, values_AR.long(), bins.new_ones(1, 1).expand_as(values_AR))[:, :width]

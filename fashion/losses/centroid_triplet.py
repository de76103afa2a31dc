"""Centroid triplet loss: compare an image with the mean of an item's images instead of with single ones."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fashion.losses.comparison import Comparison
from fashion.losses.relations import Relations
from fashion.losses.triplet import TripletLoss


class CentroidTripletLoss(nn.Module):
    """Triplet loss with d(a, c_P) and d(a, c_N) (Wieczorek et al. 2021).

    c_P is the mean of the anchor's positives (so without itself), c_N the mean of the images of another item, in the
    domain that the anchor is compared with. Each other item is one negative, however many images it has.
    """

    def __init__(self, triplet: TripletLoss):
        super().__init__()
        self.triplet = triplet

    def forward(self, c: Comparison) -> Tensor:
        positive_AR = c.relations.positive_AR.to(c.z_RD.dtype)
        own_AD = positive_AR @ c.z_RD / positive_AR.sum(1, keepdim=True).clamp_min(1)
        own_A1 = c.distance.between(c.z_AD[:, None], own_AD[:, None]).squeeze(2)
        groups = group(c)
        d_AG = torch.cat([own_A1, c.distance.between(c.z_AD, groups.centroid_GD)], 1)
        positive_AG = torch.zeros_like(d_AG, dtype=torch.bool)
        positive_AG[:, 0] = c.relations.positive_AR.any(1)
        negative_AG = torch.cat([torch.zeros_like(positive_AG[:, :1]), groups.negative_AG], 1)
        return self.triplet.between(
            d_AG, d_AG, Relations(positive_AR=positive_AG, negative_AR=negative_AG), c.generator
        )


@dataclass(frozen=True, kw_only=True)
class Groups:
    """G groups of references: the mean embedding of each (G, D), and of which anchors it is a negative (A, G)."""

    centroid_GD: Tensor
    negative_AG: Tensor


def group(c: Comparison) -> Groups:
    """References grouped by what an anchor may compare with: item, and domain where that decides."""
    keys = torch.stack([c.references.labels, c.references.domains if c.by_domain else c.references.labels])
    _, group_R = keys.unique(dim=1, return_inverse=True)
    size = int(group_R.max()) + 1
    number_G = torch.bincount(group_R, minlength=size)
    sums_GD = c.z_RD.new_zeros(size, c.z_RD.shape[1]).index_add(0, group_R, c.z_RD)
    # All of a group are negatives of an anchor, or none: any one of them tells.
    member_G = torch.empty_like(number_G).scatter_(0, group_R, torch.arange(len(group_R), device=group_R.device))
    return Groups(centroid_GD=sums_GD / number_G[:, None], negative_AG=c.relations.negative_AR[:, member_G])

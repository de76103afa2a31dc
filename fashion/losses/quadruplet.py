"""Quadruplet loss: a positive also has to be nearer than two images of two other items are to each other."""

import torch
from torch import Tensor, nn

from fashion.losses.comparison import Comparison
from fashion.losses.relations import Relations
from fashion.losses.triplet import TripletLoss


class QuadrupletLoss(nn.Module):
    """Triplet loss on (a, p, n) plus weight * mean of max(0, d_ap - d_mn + second margin) (Chen et al. 2017).

    Of the images m that show neither the anchor's nor the negative's item, the nearest to n counts: the bound on it
    holds for the others too. m is an anchor, so across domains the second distance is across domains as well.
    """

    def __init__(self, first: TripletLoss, second: TripletLoss, *, weight: float):
        super().__init__()
        self.first, self.second, self.weight = first, second, weight

    def forward(self, c: Comparison) -> Tensor:
        second_AR, known_AR = nearest_other(c)
        relations = Relations.complete(c.relations.positive_AR, c.relations.negative_AR & known_AR)
        return self.first(c) + self.weight * self.second.between(c.distance_AR, second_AR, relations, c.generator)


def nearest_other(c: Comparison) -> tuple[Tensor, Tensor]:
    """For anchor a and negative n, the distance (A, R) from n to the nearest anchor m of a third item, and whether
    there is one (A, R). It is n's nearest, or, where that shows a's item, the nearest of another item."""
    items_A1 = c.anchors.labels[:, None]
    d_AR = c.distance_AR.detach().masked_fill(~c.relations.negative_AR, torch.inf)
    first_d_R, first_R = d_AR.min(0)
    shares_AR = items_A1 == c.anchors.labels[first_R]
    second_d_R, second_R = d_AR.masked_fill(shares_AR, torch.inf).min(0)
    nearest_AR = torch.where(shares_AR, second_R, first_R)
    return c.distance_AR.gather(0, nearest_AR), torch.where(shares_AR, second_d_R, first_d_R).isfinite()

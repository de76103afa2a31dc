"""Improved triplet loss: a relative and an absolute bound."""

from torch import Tensor, nn
from torch.nn.functional import relu

from fashion.losses.comparison import Comparison
from fashion.losses.triplet import TripletLoss


class ImprovedTripletLoss(nn.Module):
    """The triplet loss plus weight * mean over positive pairs of max(0, d_ap - bound) (Cheng et al. 2016).

    So positives also have to be near in themselves. The mean is over pairs beyond the bound where the triplets' is over
    active ones. The bound is below the triplet's margin.
    """

    def __init__(self, triplet: TripletLoss, *, bound: float, weight: float):
        super().__init__()
        self.triplet, self.bound, self.weight = triplet, bound, weight

    def forward(self, c: Comparison) -> Tensor:
        excess = relu(c.distance_AR[c.relations.positive_AR] - self.bound)
        number = (excess > 0).sum() if self.triplet.mining.active_only else excess.new_tensor(len(excess))
        return self.triplet(c) + self.weight * excess.sum() / number.clamp_min(1)

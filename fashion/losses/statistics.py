"""What a training step tells about its embeddings, and what to do when they collapse."""

import torch
from torch import Tensor

from fashion.losses.comparison import Comparison
from fashion.losses.triplet import active_triplets

# Unit-length Euclidean. Spread embeddings are about 1.4 apart; under this, pictures can no longer be told apart.
COLLAPSED_BELOW = 0.05

COLLAPSE_ADVICE = (
    "the embeddings have collapsed to one point (other items are closer than 0.05): try a lower learning rate or a "
    "longer warm-up, the tuplet loss or semi-hard instead of hard mining, and more items in a batch"
)
IDLE_ADVICE = (
    "no anchor had both a positive and a negative, so nothing was learnt: for data of one domain set loss.domains to "
    "any; else take two or more views of an item (one of each domain for loss.domains cross) and several items a batch"
)


@torch.no_grad()
def measure(c: Comparison, *, margin: float = 0.0, norms_B: Tensor | None = None) -> dict[str, Tensor]:
    """0-d float tensors on the embeddings' device, each 0 where there is nothing to average.

    anchors: share of anchors with a positive and a negative. active: share of all their triplets, mined or not, with
    d_an < d_ap + margin, the loss's (0 where it has none). positive_distance, negative_distance: means in the loss's
    distance. collapsed: 1 when the mean negative distance is below COLLAPSED_BELOW. norm: mean of norms_B, the lengths
    before normalisation, if given.
    """
    positive_AR, negative_AR = c.relations.positive_AR, c.relations.negative_AR
    far = _mean(c.distance_AR, negative_AR)
    active = active_triplets(c, margin)
    statistics = {
        "anchors": positive_AR.any(1).float().mean(),
        "active": active.active / active.mined.clamp_min(1),
        "positive_distance": _mean(c.distance_AR, positive_AR),
        "negative_distance": far,
        "collapsed": (negative_AR.any() & (c.distance.to_euclidean(far) < COLLAPSED_BELOW)).float(),
    }
    if norms_B is not None:
        statistics["norm"] = norms_B.float().mean()
    return statistics


def advice(statistics: dict[str, float]) -> str | None:
    """One line on what to try, from an epoch's mean statistics; None when all is well."""
    if statistics["anchors"] == 0:
        return IDLE_ADVICE
    return COLLAPSE_ADVICE if statistics["collapsed"] >= 0.5 else None


def _mean(d_AR: Tensor, chosen_AR: Tensor) -> Tensor:
    return (d_AR * chosen_AR).sum() / chosen_AR.count_nonzero().clamp_min(1)

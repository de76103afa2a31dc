"""What a loss is computed from: anchors against references."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from fashion.losses.distances import Distance
from fashion.losses.relations import Identity, Relations
from fashion.losses.sorted_triplets import TripletCounts, count_triplets


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A anchors and R references with their distances and relations.

    z_AD, z_RD: embeddings. anchors, references: what they show.
    distance, distance_AR: the distance and its values. by_domain: whether the domain decides who is compared with whom.
    generator: for the minings that draw.
    """

    z_AD: Tensor
    z_RD: Tensor
    anchors: Identity
    references: Identity
    relations: Relations
    distance: Distance
    distance_AR: Tensor
    by_domain: bool
    generator: torch.Generator | None = None
    _counts: dict[float, TripletCounts] = field(default_factory=dict, init=False, repr=False)

    def active(self, margin: float) -> TripletCounts:
        """Of all triplets, mined or not, those with d_ap + margin > d_an; counted once for the statistics and the loss."""
        if margin not in self._counts:
            self._counts[margin] = count_triplets(self.distance_AR, self.distance_AR, self.relations, margin)
        return self._counts[margin]

"""What a loss is computed from: anchors against references."""

from dataclasses import dataclass
from functools import cached_property

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
    margin: the loss's, 0 where it has none. generator: for the minings that draw.
    """

    z_AD: Tensor
    z_RD: Tensor
    anchors: Identity
    references: Identity
    relations: Relations
    distance: Distance
    distance_AR: Tensor
    by_domain: bool
    margin: float
    generator: torch.Generator | None = None

    @cached_property
    def active(self) -> TripletCounts:
        """Of all triplets, mined or not, those with d_ap + margin > d_an: for the statistics and batch-all losses."""
        return count_triplets(self.distance_AR, self.distance_AR, self.relations, self.margin)

"""What a loss is computed from: anchors against references."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fashion.losses.distances import Distance
from fashion.losses.relations import Identity, Relations

if TYPE_CHECKING:
    from fashion.losses.triplet import TripletCounts


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A anchors and R references with their distances and relations.

    z_AD, z_RD: embeddings. anchors, references: what they show.
    distance, distance_AR: the distance and its values. by_domain: whether the domain decides who is compared with whom.
    generator: for the minings that draw. counts: what `active_triplets` has counted, by margin.
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
    counts: "dict[float, TripletCounts]" = field(default_factory=dict, init=False, repr=False)

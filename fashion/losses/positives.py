"""The positives of each anchor, packed to the left: an anchor has few, so (A, P) is far smaller than (A, R)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Positives:
    """index_AP (A, P) int64: reference of each positive, 0 where valid_AP (A, P) bool is false. count_A (A,) int64:
    number of each anchor's positives. P is the largest number, at least 1."""

    index_AP: Tensor
    valid_AP: Tensor
    count_A: Tensor


def pack(positive_AR: Tensor) -> Positives:
    """Positives in the order of the references."""
    anchor, reference = positive_AR.nonzero(as_tuple=True)
    count = positive_AR.count_nonzero(1)  # a sum would first copy the matrix to int64
    width = max(1, int(count.max())) if len(count) else 1
    rank = torch.arange(len(anchor), device=anchor.device) - (count.cumsum(0) - count)[anchor]
    index = anchor.new_zeros(len(count), width)
    index[anchor, rank] = reference
    valid = torch.arange(width, device=anchor.device) < count[:, None]
    return Positives(index_AP=index, valid_AP=valid, count_A=count)

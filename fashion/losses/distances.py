"""Distances between two sets of embeddings: every one is >= 0, smaller means more alike, and 0 has gradient 0.

| name | formula | range for unit-length embeddings | as a Euclidean distance |
|---|---|---|---|
| cosine | 1 - x.y / (|x| |y|), the similarity with its sign turned | 0 .. 2 | sqrt(2 d) |
| euclidean | |x - y| | 0 .. 2 | d |
| squared-euclidean | |x - y|^2 | 0 .. 4 | sqrt(d) |

Shapes: x (..., A, D) and y (..., R, D) give (..., A, R). Tensor legend of this package: B images of the batch, A
anchors, R references, P positives of one anchor (padded), D dimensions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def squared_euclidean(x_AD: Tensor, y_RD: Tensor) -> Tensor:
    """|x - y|^2 by one matrix product; rounding below zero is cut off."""
    product = (-2 * x_AD) @ y_RD.mT
    product += x_AD.square().sum(-1).unsqueeze(-1)
    product += y_RD.square().sum(-1).unsqueeze(-2)
    return product.clamp_min(0)


def euclidean(x_AD: Tensor, y_RD: Tensor) -> Tensor:
    """|x - y|. What the matrix product cannot tell from zero is zero, with gradient zero: sqrt has none there."""
    square = squared_euclidean(x_AD, y_RD)
    with torch.no_grad():
        size = x_AD.square().sum(-1).unsqueeze(-1) + y_RD.square().sum(-1).unsqueeze(-2)
        same = square <= 4 * torch.finfo(square.dtype).eps * size
    return square.masked_fill(same, 1).sqrt().masked_fill(same, 0)


def cosine(x_AD: Tensor, y_RD: Tensor) -> Tensor:
    """1 - cosine similarity; rounding outside 0 .. 2 is left in, as cutting it off would cut off gradients."""
    return 1 - unit(x_AD) @ unit(y_RD).mT


def unit(x_AD: Tensor) -> Tensor:
    """Rows scaled to length one; a zero row stays zero with gradient zero."""
    square = x_AD.square().sum(-1, keepdim=True)
    zero = square <= torch.finfo(x_AD.dtype).tiny
    return x_AD * square.masked_fill(zero, 1).rsqrt().masked_fill(zero, 0)


@dataclass(frozen=True, kw_only=True)
class Distance:
    """A distance and its translation to Euclidean distance for unit-length embeddings."""

    between: Callable[[Tensor, Tensor], Tensor]
    to_euclidean: Callable[[Tensor], Tensor]


DISTANCES = {
    "cosine": Distance(between=cosine, to_euclidean=lambda d: (2 * d).clamp_min(0).sqrt()),
    "euclidean": Distance(between=euclidean, to_euclidean=lambda d: d),
    "squared-euclidean": Distance(between=squared_euclidean, to_euclidean=lambda d: d.sqrt()),
}

"""Losses on landmarks, visibility, category and attributes (FashionNet, Liu et al. 2016), as sums and counts.

Each function gives the sum over this worker's labelled parts and how many they are, so that the mean is taken over the
global batch: the sum of the workers' sums over the sum of their counts. What is not annotated adds nothing to either.
Tensor legend: N pictures, 8 landmark slots, C categories, A attributes.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from fashion.domain import NO_SUCH, NOT_ANNOTATED, VISIBLE


@dataclass(frozen=True)
class Labels:
    """The truth about N pictures."""

    category_N: Tensor  # int64, -1 unknown
    attributes_NA: Tensor  # bool, present
    known_NA: Tensor  # bool, whether present or absent is known
    landmarks_N83: Tensor  # float32: visibility (fashion.domain), x, y in 0..1

    def map(self, change: Callable[[Tensor], Tensor]) -> "Labels":
        """The same with `change` applied to each tensor."""
        return Labels(*(change(getattr(self, field.name)) for field in fields(self)))

    def with_landmarks(self, landmarks_N83: Tensor) -> "Labels":
        return replace(self, landmarks_N83=landmarks_N83)

    def followed_by(self, other: "Labels") -> "Labels":
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return Labels(*(torch.cat(pair) for pair in pairs))


@dataclass(frozen=True)
class Sum:
    """0-d: a sum with its gradient, attached also where it is of nothing, and the number of its terms."""

    total: Tensor
    count: Tensor


@dataclass(frozen=True)
class Balance:
    """Weights (A,) of an attribute where it is present and where it is absent."""

    present_A: Tensor
    absent_A: Tensor

    def to(self, device: torch.device) -> "Balance":
        return Balance(self.present_A.to(device), self.absent_A.to(device))


def landmark_loss(found_N82: Tensor, truth_N83: Tensor) -> Sum:
    """Squared distance of estimate and truth, as fractions of width and height, of each landmark that is visible."""
    counted_N8 = truth_N83[..., 0] == VISIBLE
    square_N8 = (found_N82 - truth_N83[..., 1:].to(found_N82.dtype)).square().sum(2)
    return _sum(square_N8, counted_N8)


def visibility_loss(logits_N84: Tensor, truth_N83: Tensor) -> Sum:
    """Cross-entropy of each of the 8 slots of annotated pictures: visible, occluded, cut off, no such landmark."""
    visibility_N8 = truth_N83[..., 0].long()
    target_N8 = visibility_N8.where(visibility_N8 >= 0, NO_SUCH)
    entropy_N8 = cross_entropy(logits_N84.flatten(0, 1), target_N8.flatten(), reduction="none").view_as(target_N8)
    return _sum(entropy_N8, visibility_N8 != NOT_ANNOTATED)


def category_loss(logits_NC: Tensor, category_N: Tensor) -> Sum:
    """Cross-entropy of each picture whose category is known."""
    if not logits_NC.shape[1]:
        return _sum(logits_NC.sum(1), torch.zeros_like(category_N, dtype=torch.bool))
    entropy_N = cross_entropy(logits_NC, category_N.clamp_min(0), reduction="none")
    return _sum(entropy_N, category_N >= 0)


def attribute_loss(logits_NA: Tensor, present_NA: Tensor, known_NA: Tensor, balance: Balance) -> Sum:
    """Weighted binary cross-entropy of each attribute of each picture of which it is known."""
    weight_NA = torch.where(present_NA, balance.present_A, balance.absent_A).to(logits_NA.dtype)
    entropy_NA = binary_cross_entropy_with_logits(
        logits_NA, present_NA.to(logits_NA.dtype), weight_NA, reduction="none"
    )
    return _sum(entropy_NA, known_NA)


def balance_of(positives_A: Tensor, pictures_A: Tensor, how: str) -> Balance:
    """Weights from the training set: `positives_A` of `pictures_A` annotated pictures have each attribute.

    none: 1. set: from the ratio over all attributes together, so that presences and absences weigh equally in the sum
    and an entry weighs 1 on average. attribute: the same, each attribute by its own ratio (one presence and one absence
    are added to each, so that the weight of one that hardly occurs is bounded).
    """
    positives_A, pictures_A = positives_A.double(), pictures_A.double()
    if how == "none":
        share_A = torch.full_like(positives_A, 0.5)
    elif how == "set":
        share_A = ((positives_A.sum() + 1) / (pictures_A.sum() + 2)).expand_as(positives_A)
    else:
        share_A = (positives_A + 1) / (pictures_A + 2)
    return Balance((0.5 / share_A).float(), (0.5 / (1 - share_A)).float())


def _sum(values: Tensor, counted: Tensor) -> Sum:
    return Sum((values * counted).sum(), counted.sum())

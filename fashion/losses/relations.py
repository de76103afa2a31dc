"""Which reference is a positive of which anchor, and which a negative.

A positive shows the anchor's item (or, for pair positives, is the very shop photo that a consumer photo was annotated
with). A negative shows another item. Photos of the anchor's item that are not its positives are neither.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fashion.errors import InputError
from fashion.losses.positives import Positives, pack

# The codes of the two domains in every `domains` tensor.
CONSUMER, SHOP = 0, 1


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What n images show, each tensor (n,) int64: item, domain (CONSUMER or SHOP) and, for pair positives, the pair.

    A pair is one number for a shop photo and the consumer photos annotated with it, -1 for an image without a pair.
    Integers of any size stay apart, as they are never turned into floats.
    """

    labels: Tensor
    domains: Tensor
    pairs: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("labels", "domains", "pairs"):
            tensor = getattr(self, name)
            if tensor is not None and (tensor.is_floating_point() or tensor.shape != self.labels.shape):
                shape = tuple(self.labels.shape)
                raise ValueError(f"{name}: found {tensor.dtype} {tuple(tensor.shape)}, expected integers {shape}")

    def followed_by(self, other: "Identity") -> "Identity":
        """The images of both, in order; pairs are kept where both have them."""
        pairs = None if self.pairs is None or other.pairs is None else torch.cat([self.pairs, other.pairs])
        return Identity(
            labels=torch.cat([self.labels, other.labels]), domains=torch.cat([self.domains, other.domains]), pairs=pairs
        )


@dataclass(frozen=True, kw_only=True)
class Relations:
    """Two boolean matrices that never overlap. Anchors without a positive or without a negative have neither: such
    rows teach nothing, so no loss may see half of one."""

    positive_AR: Tensor
    negative_AR: Tensor

    @classmethod
    def complete(cls, positive_AR: Tensor, negative_AR: Tensor) -> "Relations":
        """Relations with the rows cleared that lack a positive or a negative."""
        whole_A1 = (positive_AR.any(1) & negative_AR.any(1))[:, None]
        return cls(positive_AR=positive_AR & whole_A1, negative_AR=negative_AR & whole_A1)

    @cached_property
    def positives(self) -> Positives:
        """Each anchor's positives, packed."""
        return pack(self.positive_AR)

    @cached_property
    def triplets(self) -> Tensor:
        """0-d int64: number of triplets of an anchor, a positive and a negative of it."""
        return (self.positives.count_A * self.negative_AR.count_nonzero(1)).sum()


def relate(
    anchors: Identity,
    references: Identity,
    *,
    domains: str = "any",
    direction: str = "both",
    positives: str = "item",
    own_A: Tensor | None = None,
) -> Relations:
    """Relations of A anchors to R references.

    domains: `any`; `cross`, references only from the other domain than the anchor's; `within`, only from the same.
    direction: with `cross`, which domain anchors come from: `both`, `consumer-to-shop` or `shop-to-consumer`.
    positives: `item` or `pair`.
    own_A (A,) int64: the reference that is the anchor itself, -1 where there is none; it is not its own positive.
    """
    same = anchors.labels[:, None] == references.labels[None]
    allowed = _allowed(anchors.domains, references.domains, domains, direction)
    positive = same & allowed
    negative = ~same & allowed
    if positives == "pair":
        if anchors.pairs is None or references.pairs is None:
            raise InputError("loss.positives: found pair, but the data has no pairs; annotate them or set it to item")
        positive &= (anchors.pairs[:, None] == references.pairs[None]) & (anchors.pairs >= 0)[:, None]
    if own_A is not None:
        positive &= own_A[:, None] != torch.arange(len(references.labels), device=own_A.device)
    return Relations.complete(positive, negative)


def _allowed(domains_A: Tensor, domains_R: Tensor, domains: str, direction: str) -> Tensor:
    """Pairs (A, R) that the domain mode lets be compared."""
    if domains == "any":
        return torch.ones(len(domains_A), len(domains_R), dtype=torch.bool, device=domains_A.device)
    equal = domains_A[:, None] == domains_R[None]
    if domains == "within":
        return equal
    if direction == "both":
        return ~equal
    return ~equal & (domains_A == (CONSUMER if direction == "consumer-to-shop" else SHOP))[:, None]

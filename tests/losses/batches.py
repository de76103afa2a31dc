"""Batches for the tests: any layout of items, domains and pairs, with one-image items, duplicates and huge item ids."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from fashion.losses import LossSettings, build_loss
from fashion.losses.settings import USUAL

# Neighbours that float32 cannot tell apart.
FIRST_ITEM = 2**24

MINED = [name for name, usual in USUAL.items() if "mining" in usual]
SMOOTH = ["tuplet", "infonce", "multi-similarity", "supervised-contrastive"]
PAIRWISE = MINED + SMOOTH
MININGS = ["random", "all", "hard", "semi-hard", "distance-weighted"]
EVERY_FORMULA = [(name, mining) for name in MINED for mining in MININGS] + [(name, None) for name in SMOOTH]
DOMAIN_MODES = [("any", "both"), ("cross", "both"), ("cross", "consumer-to-shop"), ("within", "both")]


@dataclass(frozen=True)
class Batch:
    """z (B, D) float64 leaf; labels, domains, pairs (B,) int64."""

    z: Tensor
    labels: Tensor
    domains: Tensor
    pairs: Tensor

    @property
    def what(self) -> tuple[Tensor, Tensor]:
        return self.labels, self.domains


@st.composite
def batches(draw, most_items: int = 4, most_views: int = 4) -> Batch:
    views = draw(st.lists(st.integers(1, most_views), min_size=1, max_size=most_items))
    size, dimension = sum(views), draw(st.integers(2, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    order = torch.randperm(size, generator=generator)
    labels = torch.repeat_interleave(torch.arange(len(views)) + FIRST_ITEM, torch.tensor(views))[order]
    z = torch.randn(size, dimension, generator=generator, dtype=torch.float64)
    if draw(st.booleans()):  # pictures that occur twice, also under two items
        z[torch.randint(size, (2,), generator=generator)] = z[torch.randint(size, (2,), generator=generator)]
    z = torch.nn.functional.normalize(z)
    domains = torch.randint(0, 2, (size,), generator=generator) if draw(st.integers(0, 3)) else torch.ones_like(labels)
    pairs = labels * 10 + torch.randint(-1, 2, (size,), generator=generator)
    return Batch(z.requires_grad_(), labels, domains, torch.where(pairs % 10 == 9, -1, pairs))


def batch_of(items: int, views: int, dimension: int = 8, seed: int = 0) -> Batch:
    """items x views, views alternating between the domains, random unit-length embeddings."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(items * views, dimension, generator=generator, dtype=torch.float64)
    labels = torch.arange(items).repeat_interleave(views)
    domains = torch.arange(views).repeat(items) % 2
    return Batch(torch.nn.functional.normalize(z).requires_grad_(), labels, domains, labels)


def settings_for(name: str, mining: str | None = None, **others) -> LossSettings:
    """Usual settings, with the margin that semi-hard mining needs."""
    if name == "soft-triplet" and mining == "semi-hard":
        others.setdefault("margin", 0.3)
    return LossSettings(name=name, mining=mining, **others)


def loss_for(settings: LossSettings, batch: Batch, classes: int = 1):
    return build_loss(settings, dimension=batch.z.shape[1], classes=classes).double()

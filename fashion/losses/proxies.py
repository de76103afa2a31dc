"""Losses that compare an image with one learned vector (proxy) a class.

Domains, mining and references do not matter to them: the other classes' proxies are the negatives, whatever is in the
batch. Labels are class indices 0 .. C - 1.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from fashion.losses.comparison import Comparison
from fashion.losses.distances import cosine


class _Proxies(nn.Module):
    """proxies (C, D): parameter, random directions of about unit length."""

    def __init__(self, *, dimension: int, classes: int, temperature: float, seed: int):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.proxies = nn.Parameter(torch.randn(classes, dimension, generator=generator) / dimension**0.5)
        self.temperature = temperature

    def similarity(self, z_BD: Tensor) -> Tensor:
        """Cosine similarities (B, C)."""
        return 1 - cosine(z_BD, self.proxies.to(z_BD.dtype))


class ProxyAnchorLoss(_Proxies):
    """Proxies as anchors, with alpha = 1 / temperature (Kim et al. 2020).

    Mean over the classes in the batch of log(1 + sum over their images of exp(-alpha (s - margin))), plus mean over all
    classes of log(1 + sum over other images of exp(alpha (s + margin))).
    """

    def __init__(self, *, margin: float, dimension: int, classes: int, temperature: float, seed: int):
        super().__init__(dimension=dimension, classes=classes, temperature=temperature, seed=seed)
        self.margin = margin

    def forward(self, c: Comparison) -> Tensor:
        s_BC = self.similarity(c.z_AD)
        own_BC = c.anchors.labels[:, None] == torch.arange(s_BC.shape[1], device=s_BC.device)
        nothing = torch.finfo(s_BC.dtype).min
        pull_C = ((self.margin - s_BC) / self.temperature).masked_fill(~own_BC, nothing).logsumexp(0)
        push_C = ((self.margin + s_BC) / self.temperature).masked_fill(own_BC, nothing).logsumexp(0)
        # A class without an image for a term has softplus(nothing) = 0 there, with gradient 0.
        return softplus(pull_C).sum() / own_BC.any(0).sum().clamp_min(1) + softplus(push_C).mean()


class NormalisedSoftmaxLoss(_Proxies):
    """Mean over images of the cross-entropy of softmax(s / temperature) over all classes (Zhai and Wu 2019)."""

    def forward(self, c: Comparison) -> Tensor:
        return cross_entropy(self.similarity(c.z_AD) / self.temperature, c.anchors.labels.long())

"""Peers of the field that contrast all positives and negatives of an anchor by cosine similarity."""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fashion.losses.comparison import Comparison


class MultiSimilarityLoss(nn.Module):
    """Mean over anchors of log(1 + sum_p exp(-alpha (s_ap - t))) / alpha + log(1 + sum_n exp(beta (s_an - t))) / beta
    (Wang et al. 2019)."""

    def __init__(self, *, positive_scale: float, negative_scale: float, threshold: float):
        super().__init__()
        self.positive_scale, self.negative_scale, self.threshold = positive_scale, negative_scale, threshold

    def forward(self, c: Comparison) -> Tensor:
        above_AR = 1 - c.distance_AR - self.threshold
        pull_A = softplus(_log_sum(-self.positive_scale * above_AR, c.relations.positive_AR)) / self.positive_scale
        push_A = softplus(_log_sum(self.negative_scale * above_AR, c.relations.negative_AR)) / self.negative_scale
        return _mean(pull_A + push_A, c.relations.positive_AR.any(1))


class SupervisedContrastiveLoss(nn.Module):
    """Mean over anchors, then over their positives, of -log(exp(s_ap / T) / sum over positives and negatives of
    exp(s / T)) (Khosla et al. 2020, the form with the sum outside)."""

    def __init__(self, *, temperature: float):
        super().__init__()
        self.temperature = temperature

    def forward(self, c: Comparison) -> Tensor:
        positive_AR = c.relations.positive_AR
        logits_AR = (1 - c.distance_AR) / self.temperature
        total_A = _log_sum(logits_AR, positive_AR | c.relations.negative_AR)
        positive_A = (logits_AR * positive_AR).sum(1) / positive_AR.sum(1).clamp_min(1)
        return _mean(total_A - positive_A, positive_AR.any(1))


def _log_sum(x_AR: Tensor, chosen_AR: Tensor) -> Tensor:
    """log of the row's sum of exp over the chosen; of none, a very low number (an infinite one has no gradient)."""
    return x_AR.masked_fill(~chosen_AR, torch.finfo(x_AR.dtype).min).logsumexp(1)


def _mean(x_A: Tensor, chosen_A: Tensor) -> Tensor:
    return x_A.masked_fill(~chosen_A, 0).sum() / chosen_A.sum().clamp_min(1)

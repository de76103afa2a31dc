"""Soft triplets: the harder one is, the more it counts, and none is cut off.

Over all or all semi-hard negatives they are summed one positive at a time: O(A R P) time, O(A R) memory.
log(1 + exp(x)) has no counting shortcut, but its gradient is known when its value is, so forward keeps only the summed
gradient of each distance, and the triplets of one positive are forgotten before the next.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fashion.losses.comparison import Comparison
from fashion.losses.mining import Mining


class SoftTripletLoss(nn.Module):
    """Mean over mined triplets of log(1 + exp((d_ap - d_an + margin) / T)) (Hermans et al. 2017, with margin and T)."""

    def __init__(self, mining: Mining, *, margin: float, temperature: float):
        super().__init__()
        self.mining, self.margin, self.temperature = mining, margin, temperature

    def forward(self, c: Comparison) -> Tensor:
        mining, d_AR = self.mining, c.distance_AR
        if mining.lists:
            chosen = mining.triplets(d_AR, d_AR, c.relations, c.generator)
            excess = d_AR[chosen.anchor, chosen.positive] - d_AR[chosen.anchor, chosen.negative] + self.margin
            return softplus(excess / self.temperature).sum() / max(1, len(excess))
        positives = c.relations.positives
        near_AP = d_AR.gather(1, positives.index_AP)
        settings = (self.margin, self.temperature, mining.semi_hard, mining.fallback)
        total, number = _SoftSum.apply(near_AP, d_AR, positives.valid_AP, c.relations.negative_AR, settings)
        return total / number.clamp_min(1)


class _SoftSum(torch.autograd.Function):
    """Sum of log(1 + exp((d_ap - d_an + margin) / temperature)) over triplets, and their number (int64).

    semi_hard keeps those with d_ap < d_an < d_ap + margin; fallback adds, for each positive without a negative beyond
    it, the anchor's farthest negative. Once differentiable: backward only scales the gradients that forward kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        near_AP: Tensor,
        far_AR: Tensor,
        valid_AP: Tensor,
        negative_AR: Tensor,
        settings: tuple[float, float, bool, bool],
    ) -> tuple[Tensor, Tensor]:
        margin, temperature, semi_hard, fallback = settings
        total, number = near_AP.new_zeros(()), torch.zeros((), dtype=torch.int64, device=near_AP.device)
        gradient_AP, gradient_AR = torch.zeros_like(near_AP), torch.zeros_like(far_AR)
        farthest_A = far_AR.masked_fill(~negative_AR, -torch.inf).argmax(1) if fallback else None
        for k in range(near_AP.shape[1]):
            keep_AR = negative_AR & valid_AP[:, k : k + 1]
            excess_AR = near_AP[:, k : k + 1] - far_AR
            if semi_hard:
                beyond_AR = keep_AR & (excess_AR < 0)
                keep_AR = beyond_AR & (excess_AR > -margin)
                if farthest_A is not None:
                    left = (valid_AP[:, k] & ~beyond_AR.any(1)).nonzero().squeeze(1)
                    keep_AR[left, farthest_A[left]] = True
            excess_AR = ((excess_AR + margin) / temperature).masked_fill_(~keep_AR, -torch.inf)
            total += softplus(excess_AR).sum()
            number += keep_AR.count_nonzero()
            weight_AR = excess_AR.sigmoid_()
            gradient_AP[:, k] = weight_AR.sum(1)
            gradient_AR -= weight_AR
        ctx.save_for_backward(gradient_AP / temperature, gradient_AR / temperature)
        ctx.mark_non_differentiable(number)
        return total, number

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        gradient_AP, gradient_AR = ctx.saved_tensors
        return gradient * gradient_AP, gradient * gradient_AR, None, None, None

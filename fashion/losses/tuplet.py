"""The tuplet loss: every negative of the anchor at once, weighted softly by how hard it is."""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fashion.losses.comparison import Comparison


class TupletLoss(nn.Module):
    """Mean over positive pairs of log(1 + sum_n exp((d_ap - d_an + margin) / T)) (Sohn 2016, with margin and T).

    With the cosine distance, d = 1 - s, it is log(1 + sum_n exp((s_an - s_ap + margin) / T)), and with margin 0 it is
    InfoNCE: the cross-entropy of the positive against the anchor's negatives (van den Oord et al. 2018).
    """

    def __init__(self, *, margin: float, temperature: float):
        super().__init__()
        self.margin, self.temperature = margin, temperature

    def forward(self, c: Comparison) -> Tensor:
        # Finite, as the logarithm of an empty sum has no gradient; anchors without negatives have no positives here.
        nothing = torch.finfo(c.distance_AR.dtype).min
        logits_AR = (c.distance_AR / -self.temperature).masked_fill(~c.relations.negative_AR, nothing)
        negatives_A = logits_AR.logsumexp(1)
        anchor, positive = c.relations.positive_AR.nonzero(as_tuple=True)
        near = (c.distance_AR[anchor, positive] + self.margin) / self.temperature
        return softplus(near + negatives_A[anchor]).sum() / max(1, len(anchor))

"""From a backbone's features to an embedding, before it is brought to unit length."""

import torch
from torch import nn


class Head(nn.Module):
    """A dense layer; with `neck`, a batch normalisation after it. (N, F) -> (N, D), float32 also under autocast:
    the layer is small, and bfloat16 would round each coordinate to 3 digits just before distances are taken."""

    def __init__(self, features: int, dimension: int, *, neck: bool = False):
        super().__init__()
        self.dense = nn.Linear(features, dimension, bias=not neck)
        if self.dense.bias is not None:
            # A random shift common to all pictures would make their untrained embeddings alike.
            nn.init.zeros_(self.dense.bias)
        self.neck = BNNeck(dimension) if neck else nn.Identity()

    def forward(self, x_NF: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x_NF.device.type, enabled=False):
            return self.neck(self.dense(x_NF.to(self.dense.weight.dtype)))


class BNNeck(nn.BatchNorm1d):
    """Batch normalisation whose shift stays zero (Luo et al. 2019, "Bag of tricks and a strong baseline for deep
    person re-identification"): the embeddings are centred on the origin, as cosine similarity wants them."""

    def __init__(self, dimension: int):
        super().__init__(dimension)
        self.bias.requires_grad_(False)

    def forward(self, x_ND: torch.Tensor) -> torch.Tensor:
        if self.training and len(x_ND) == 1:
            # One sample has no variance: a branch may get a single photo of its domain in the last batch.
            return nn.functional.batch_norm(
                x_ND, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x_ND)

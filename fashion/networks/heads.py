"""From features to an embedding of unit length, or to logits: the layers that no published weights exist for."""

import torch
from torch import nn


class Head(nn.Module):
    """A dense layer; with `neck`, a batch normalisation after it. (N, F) -> (N, D), float32 also under autocast:
    the layer is small, and bfloat16 would round each coordinate to 3 digits just before distances are taken."""

    new = True  # see new_parameters

    def __init__(self, features: int, dimension: int, *, neck: bool = False):
        super().__init__()
        self.dense = nn.Linear(features, dimension, bias=not neck)
        if self.dense.bias is not None:
            # A random shift common to all pictures would make their untrained embeddings alike.
            nn.init.zeros_(self.dense.bias)
        self.neck = BNNeck(dimension) if neck else nn.Identity()

    def keep_neighbours(self) -> None:
        """Start as a projection on random directions at right angles, of the usual size. Of features that know something
        already it keeps more than the usual start: at D = 128 and 256 one or two points of recall@1."""
        nn.init.orthogonal_(self.dense.weight, gain=3**-0.5)

    def forward(self, x_NF: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x_NF.device.type, enabled=False):
            return self.neck(self.dense(x_NF.to(self.dense.weight.dtype)))


class Dense(nn.Sequential):
    """A dense layer and ReLU, (N, F) -> (N, D)."""

    new = True  # see new_parameters

    def __init__(self, features: int, dimension: int):
        dense = nn.Linear(features, dimension)
        nn.init.kaiming_normal_(dense.weight, nonlinearity="relu")
        nn.init.zeros_(dense.bias)
        super().__init__(dense, nn.ReLU(inplace=True))


def new_parameters(network: nn.Module) -> set[nn.Parameter]:
    """The parameters of a network's heads and other new layers: all that is not the backbone's."""
    return {p for module in network.modules() if getattr(module, "new", False) for p in module.parameters()}


def to_sphere(v_ND: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """z_ND, float32 or wider, of length 1 (0 for a picture without any features), and the lengths (N,) before that."""
    v_ND = v_ND.to(torch.promote_types(v_ND.dtype, torch.float32))
    norm_N = torch.linalg.vector_norm(v_ND, dim=1)
    # No bound on small lengths from 1e-12 on, as is usual: an untrained efficientnet's are below that, and right.
    # Under 1e-18 a float32 square vanishes: such a vector has no direction, and neither embedding nor gradient.
    return v_ND / norm_N.where(norm_N > 1e-18, torch.inf).unsqueeze(1), norm_N


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

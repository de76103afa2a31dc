"""What of a training step in bf16 a CPU is quicker at in float32."""

from functools import cache

import torch
from torch import nn


def quick_depthwise(network: nn.Module) -> None:
    """In place: under bf16 autocast on a CPU, depthwise convolutions that are trained compute in float32 and round, for
    oneDNN's gradients of them take several times as long in bf16, which costs a mobile network more than all its other
    layers gain. Weights and names stay, and so does everything outside of autocast and training."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1 and not isinstance(module, _Quick):
            module.__class__ = _quick(type(module))  # type: ignore[arg-type]  # a class can be hashed


class _Quick:
    """Mark of a changed layer."""


@cache
def _quick(kind: type[nn.Conv2d]) -> type[nn.Conv2d]:
    class Depthwise(_Quick, kind):  # type: ignore[valid-type, misc]  # a base that is known at run time alone
        def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
            if not (self.training and torch.is_autocast_enabled("cpu")):
                return super().forward(x_NCHW)
            with torch.autocast("cpu", enabled=False):
                return super().forward(x_NCHW.float()).to(torch.bfloat16)

    return Depthwise

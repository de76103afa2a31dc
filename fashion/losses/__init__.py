"""Losses that bring photos of one item together: distance x mining x loss x reduction, in plain PyTorch.

The names below are looked up when they are asked for: whoever reads settings needs no torch.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "CONSUMER": "relations",
    "SHOP": "relations",
    "LossResult": "metric_loss",
    "LossSettings": "settings",
    "MetricLoss": "metric_loss",
    "advice": "statistics",
    "build_loss": "metric_loss",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

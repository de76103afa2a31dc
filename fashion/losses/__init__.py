"""Losses that bring photos of one item together: distance x mining x loss x reduction, in plain PyTorch."""

from fashion.losses.build import LossResult, MetricLoss, build_loss
from fashion.losses.relations import CONSUMER, SHOP
from fashion.losses.settings import LossSettings
from fashion.losses.statistics import advice

__all__ = ["CONSUMER", "SHOP", "LossResult", "LossSettings", "MetricLoss", "advice", "build_loss"]

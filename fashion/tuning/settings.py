"""What a user chooses about a sweep, beside the settings of its trials."""

import math
from dataclasses import dataclass
from typing import Literal

from fashion.errors import InputError
from fashion.setting_ranges import check, setting

TRIALS = 20


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How the trials' settings are chosen."""

    name: Literal["random", "grid", "optuna"] = "random"
    """random: each trial drawn by itself. grid: every combination of the choices. optuna: drawn near what did well so
    far (optional package optuna)."""
    seed: int = 0
    """Seed of the draws. Trials share the seed of their training."""

    def __post_init__(self) -> None:
        check(self, "search")


@dataclass(frozen=True, kw_only=True)
class SchedulerSettings:
    """Which trials are ended before their last epoch."""

    name: Literal["asha", "hyperband", "median", "pbt", "none"] = "asha"
    """asha: at set epochs the best part goes on, at once. hyperband: the same, waiting for all. median: what is worse
    than the others' median ends. pbt: the worst take over weights and settings of the best, changed a little."""
    grace: int | None = setting(None, least=1, unit="epochs")
    """Before a trial may be ended or changed. Default: a quarter of the epochs."""
    reduction: float = setting(3.0, above=1)
    """asha, hyperband: one in so many goes on at each set epoch."""

    def __post_init__(self) -> None:
        check(self, "scheduler")

    def grace_of(self, epochs: int) -> int:
        """Epochs of grace of trials of so many epochs. Raises InputError where there are fewer."""
        if self.grace is not None and self.grace > epochs:
            raise InputError(f"scheduler.grace: found {self.grace}, expected at most the trials' {epochs} epochs")
        return self.grace or max(1, math.ceil(epochs / 4))


@dataclass(frozen=True, kw_only=True)
class BudgetSettings:
    """When the sweep ends: at whichever comes first. Raising one and giving the same command again goes on."""

    trials: int | None = setting(None, least=1)
    """Trials. Default: the whole grid; else 20, or without end where another budget is given."""
    epochs: int | None = setting(None, least=1)
    """Epochs, over all trials together."""
    hours: float | None = setting(None, above=0)
    """Hours, over all commands that worked on this sweep."""

    def __post_init__(self) -> None:
        check(self, "budget")

    def count(self, grid: int | None) -> float:
        """Trials, where the grid has `grid` combinations (None: no grid). Raises InputError for a part of a grid."""
        if grid is not None:
            if self.trials is not None and self.trials < grid:
                raise InputError(
                    f"budget.trials: found {self.trials}, the grid has {grid} combinations; raise it, list fewer "
                    "choices, or set search.name random"
                )
            return grid
        if self.trials is not None:
            return self.trials
        return TRIALS if self.epochs is None and self.hours is None else math.inf

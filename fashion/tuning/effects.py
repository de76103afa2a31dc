"""What each searched setting did to the metric, and how far the trials can tell.

Trials are grouped by a setting's value: a choice by its values, a number into its lower, middle and upper third of the
trials. The setting's strength is the share of the variance of the trials' best scores that lies between the groups (eta
squared). Whether it is more than chance is asked of the trials themselves, by permutation: how often do shuffled scores
give as much?
"""

from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from fashion.seeds import generator
from fashion.tuning.domains import Choice
from fashion.tuning.overrides import written
from fashion.tuning.records import Trial, scored
from fashion.tuning.space import Dimension, Space

PERMUTATIONS = 4999
THIRDS = 3
ENOUGH = 6  # trials below which nothing is said about a setting


@dataclass(frozen=True, kw_only=True)
class Group:
    """The trials of one value of a choice, or of a third of a number's values."""

    label: str
    low: Any  # its lowest and highest value
    high: Any
    trials: int
    mean: float


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A setting's part in the trials' best scores."""

    name: str
    points: tuple[tuple[Any, float], ...]  # value and best score of each trial that had the setting
    explained: float  # 0 to 1
    chance: float  # p-value: how often shuffled scores explain as much
    groups: tuple[Group, ...]  # best mean first

    @property
    def trials(self) -> int:
        return len(self.points)

    @property
    def verdict(self) -> str:
        if self.trials < ENOUGH:
            return f"cannot tell: {self.trials} trials are too few"
        if self.chance < 0.01:
            return "clear"
        return "likely" if self.chance < 0.05 else "cannot tell from chance"


def effects(space: Space, trials: list[Trial], seed: int = 0) -> list[Effect]:
    """An effect of every setting that at least two trials with a score had, in the space's order."""
    points = {
        d: [(t.record.values[d.name], best.score) for t, best in scored(trials) if d.name in t.record.values]
        for d in space.dimensions
    }
    return [_effect(dimension, had, seed) for dimension, had in points.items() if len(had) > 1]


def _effect(dimension: Dimension, points: list[tuple[Any, float]], seed: int) -> Effect:
    values, scores = [v for v, _ in points], np.array([s for _, s in points])
    group = (
        np.array([dimension.domain.values.index(v) for v in values])
        if isinstance(dimension.domain, Choice)
        else thirds(np.array(values))
    )
    strength = explained(group, scores)
    random = generator(seed, "effect", dimension.name)
    # Equal shares of shuffled scores differ by rounding.
    as_much = sum(explained(group, random.permutation(scores)) >= strength - 1e-12 for _ in range(PERMUTATIONS))
    return Effect(
        name=dimension.name,
        points=tuple(points),
        explained=strength,
        chance=(as_much + 1) / (PERMUTATIONS + 1),
        groups=tuple(
            sorted((_group([p for p, g in zip(points, group, strict=True) if g == i]) for i in np.unique(group)),
                   key=lambda g: -g.mean)
        ),
    )  # fmt: skip


def _group(points: list[tuple[Any, float]]) -> Group:
    values = [v for v, _ in points]
    low, high = (values[0], values[0]) if len({*values}) == 1 else (min(values), max(values))
    label = written(low) if low == high else f"{written(low)} to {written(high)}"
    return Group(label=label, low=low, high=high, trials=len(points), mean=fmean(s for _, s in points))


def thirds(values: np.ndarray) -> np.ndarray:
    """0, 1 or 2 for each value: the third of the sorted values that it lies in; equal values stay together."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - count / 2
    return np.minimum(THIRDS * middle / len(values), THIRDS - 1).astype(int)[place]


def explained(group: np.ndarray, scores: np.ndarray) -> float:
    """Eta squared: the variance between the groups' means over the whole variance; 0 where all scores are equal."""
    y = scores - scores.mean()
    total = float(y @ y)
    if total < 1e-18:
        return 0.0
    sums, count = np.bincount(group, y), np.bincount(group)
    return float((sums**2 / np.maximum(count, 1)).sum() / total)

"""Geometry of the page's own figures: from trials to positions, with no drawing in them."""

import math
from dataclasses import dataclass
from typing import Any

from fashion.retrieval.figures import nice_ticks
from fashion.tuning.domains import Choice, Range
from fashion.tuning.effects import Effect
from fashion.tuning.overrides import written
from fashion.tuning.records import Trial, scored
from fashion.tuning.space import Dimension, Space

Tick = tuple[float, str]


@dataclass(frozen=True)
class Scale:
    """Where a setting's values lie on an axis, from 0 to 1."""

    low: float
    high: float
    log: bool = False
    labels: tuple[str, ...] = ()  # of a choice

    def place(self, value: Any) -> float:
        if self.labels:
            return (self.labels.index(written(value)) + 0.5) / len(self.labels)
        low, high, x = (math.log(v) if self.log else v for v in (self.low, self.high, float(value)))
        return (x - low) / (high - low) if high > low else 0.5

    @property
    def ticks(self) -> list[Tick]:
        if self.labels:
            return [(self.place(label), label) for label in self.labels]
        if self.log:
            steps = [m * 10.0**p for p in range(-12, 13) for m in (1, 2, 5)]
            inside = [x for x in steps if self.low <= x <= self.high]
            inside = inside if len(inside) <= 6 else [x for x in inside if f"{x:e}"[0] == "1"]
            values = inside if len(inside) > 1 else [self.low, self.high]
        else:
            values = [x for x in nice_ticks(self.low, self.high) if self.low <= x <= self.high]
        return [(self.place(x), f"{x:g}") for x in values]


def scale_of(dimension: Dimension, values: list) -> Scale:
    """The scale of a setting: of a choice all its values, of a number what the trials had."""
    if isinstance(dimension.domain, Choice):
        return Scale(0, 1, labels=tuple(written(v) for v in dimension.domain.values))
    low = min([dimension.domain.low, *values])
    high = max([dimension.domain.high, *values] if isinstance(dimension.domain, Range) else values)
    return Scale(low, high, log=dimension.domain.log)


@dataclass(frozen=True, kw_only=True)
class Axis:
    x: float
    name: str
    ticks: list[Tick]  # y and label


@dataclass(frozen=True, kw_only=True)
class Thread:
    """One trial's line through the axes, below an axis where the trial has no such setting."""

    name: str
    path: str
    heat: float  # 0 worst to 1 best
    best: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class Parallel:
    width: float
    height: float
    top: float
    bottom: float
    axes: list[Axis]
    threads: list[Thread]  # worst first, so that the best is drawn over the others


def parallel(space: Space, trials: list[Trial], metric: str, *, width: float = 1100, height: float = 380) -> Parallel:
    """Parallel coordinates of the trials with a score, best last: an axis a setting, and the metric on the right."""
    ordered = sorted(scored(trials), key=lambda pair: (pair[1].score, -pair[0].record.number))
    shown, scores = [trial for trial, _ in ordered], [best.score for _, best in ordered]
    had = lambda name: [t.record.values[name] for t in shown if name in t.record.values]  # noqa: E731
    columns = [(d.name, scale_of(d, had(d.name))) for d in space.dimensions if had(d.name)]
    columns.append((metric, Scale(*_ends(scores))))
    top, bottom, right = 46.0, height - 40, width - 60
    left = 24 + 7.0 * max(len(text) for _, text in columns[0][1].ticks)
    xs = [round(left + (right - left) * i / max(1, len(columns) - 1), 1) for i in range(len(columns))]

    def y(u: float | None) -> float:
        return round(height - 12 if u is None else bottom - (bottom - top) * u, 1)

    axes = []
    for x, (name, scale) in zip(xs, columns, strict=True):
        ticks = [(y(u), text) for u, text in scale.ticks]
        partly = name != metric and len(had(name)) < len(shown)
        axes.append(Axis(x=x, name=name, ticks=[*ticks, (y(None), "not used")] if partly else ticks))
    threads = []
    for trial, best in ordered:
        values = trial.record.values | {metric: best.score}
        places = [y(scale.place(values[name]) if name in values else None) for name, scale in columns]
        spread = scores[-1] - scores[0]
        threads.append(
            Thread(
                name=trial.record.name,
                path="M" + "L".join(f"{x} {place}" for x, place in zip(xs, places, strict=True)),
                heat=(best.score - scores[0]) / spread if spread else 1.0,
                best=trial is shown[-1],
                text=f"{trial.record.name}: {metric} {100 * best.score:.1f}%; "
                + ", ".join(f"{k} {written(v)}" for k, v in trial.record.values.items()),
            )
        )
    return Parallel(width=width, height=height, top=top, bottom=bottom, axes=axes, threads=threads)


def _ends(scores: list[float]) -> tuple[float, float]:
    ticks = nice_ticks(min(scores), max(scores))
    return ticks[0], ticks[-1]


@dataclass(frozen=True, kw_only=True)
class Strip:
    """A setting's values across, the trials' scores upwards."""

    effect: Effect
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    marks: list[tuple[float, float, str]]
    means: list[tuple[float, float, float]]  # of each group: from x, to x, y


def strip(dimension: Dimension, effect: Effect, *, width: float = 400, height: float = 240) -> Strip:
    left, right, top, bottom = 46.0, width - 16, 14.0, height - 30
    scale = scale_of(dimension, [v for v, _ in effect.points])
    ticks = nice_ticks(min(s for _, s in effect.points), max(s for _, s in effect.points))

    def x(u: float) -> float:
        return round(left + (right - left) * u, 1)

    def y(score: float) -> float:
        return round(bottom - (bottom - top) * (score - ticks[0]) / (ticks[-1] - ticks[0]), 1)

    return Strip(
        effect=effect,
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=[(x(u), text) for u, text in scale.ticks],
        y_ticks=[(y(s), f"{100 * s:g}%") for s in ticks],
        marks=[(x(scale.place(v)), y(s), f"{written(v)}: {100 * s:.1f}%") for v, s in effect.points],
        means=[(x(scale.place(g.low)) - 12, x(scale.place(g.high)) + 12, y(g.mean)) for g in effect.groups],
    )

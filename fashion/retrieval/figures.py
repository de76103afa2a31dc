"""Geometry of line charts: pure functions from numbers to positions, with no drawing in them.

The template draws what these return as inline SVG, so its colours can follow the reader's light or dark theme.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About `count` round steps (1, 2, 2.5 or 5 times a power of ten) from at or below `low` to at or above `high`."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # flat but for rounding
        reach = abs(low) / 2 or 0.5
        low, high = low - reach, high + reach
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The positions moved as little as a pass each way needs to keep `gap` between neighbours, in the same order and
    inside [low, high] as long as they fit there."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    moved = list(positions)
    floor = low
    for i in order:
        moved[i] = floor = max(moved[i], floor)
        floor += gap
    ceiling = high
    for i in reversed(order):
        moved[i] = ceiling = min(moved[i], ceiling)
        ceiling -= gap
    return moved


@dataclass(frozen=True, kw_only=True)
class Line:
    """One drawn curve. Lengths are in the plot's own units, y downwards."""

    name: str
    path: str  # SVG path data
    marks: list[tuple[float, float, str]]  # x, y and what the mark says when pointed at
    label_x: float
    label_y: float


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A line chart, placed: all that a template needs to draw it."""

    title: str
    text: str  # the same in words, for those who cannot see it
    x_label: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    lines: list[Line]


def finite(value: float | None) -> TypeGuard[float]:
    """Whether there is a value, and it can be drawn."""
    return value is not None and math.isfinite(value)


def line_plot(
    curves: Mapping[str, Sequence[tuple[float, float | None]]],
    *,
    title: str,
    x_label: str,
    y_format: Callable[[float], str],
    x_format: Callable[[float], str] = "{:g}".format,
    x_gap: float = 22,
    x_ticks: Sequence[float] | None = None,
    y_ticks: Sequence[float] | None = None,
    log_x: bool = False,
    width: float = 400,
    height: float = 250,
    label_room: float = 14,
) -> Plot:
    """Place named curves of (x, y) points; a y that is None or not finite is left out, and a curve of nothing else too.

    Ticks default to round ones (whole numbers across), the axes end at the outermost ticks, ticks across nearer than
    `x_gap` to the next are left out, `log_x` spaces x by its logarithm, and `label_room` is the width kept on the right
    for the curves' names. Raises ValueError where nothing is left to draw.
    """
    drawn = {name: [(x, y) for x, y in points if finite(y)] for name, points in curves.items()}
    drawn = {name: points for name, points in drawn.items() if points}
    if not drawn:
        raise ValueError(f"{title}: no curve has a finite value")
    xs = sorted({x for points in drawn.values() for x, _ in points})
    ys = [y for points in drawn.values() for _, y in points]
    y_ticks = list(y_ticks or nice_ticks(min(ys), max(ys)))
    x_ticks = list(x_ticks or _whole_ticks(xs[0], xs[-1]))
    longest = max(len(y_format(y)) for y in y_ticks)
    left, right, top, bottom = max(46.0, 10 + 8.0 * longest), width - label_room, 14.0, height - 40.0

    along = math.log if log_x else float
    x_low, x_high = along(min(xs[0], x_ticks[0])), along(max(xs[-1], x_ticks[-1]))
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def place_x(x: float) -> float:
        return round(left + (right - left) * ((along(x) - x_low) / (x_high - x_low) if x_high > x_low else 0.5), 2)

    def place_y(y: float) -> float:
        return round(bottom - (bottom - top) * (y - y_low) / (y_high - y_low), 2)

    ends = spread([place_y(points[-1][1]) for points in drawn.values()], 16, top + 4, bottom - 4)
    lines = [
        Line(
            name=name,
            path="M" + "L".join(f"{place_x(x)} {place_y(y)}" for x, y in points),
            marks=[(place_x(x), place_y(y), f"{name}, {x_label} {x_format(x)}: {y_format(y)}") for x, y in points],
            label_x=place_x(points[-1][0]) + 10,
            label_y=round(end, 2),
        )
        for (name, points), end in zip(drawn.items(), ends, strict=True)
    ]
    return Plot(
        title=title,
        text=f"{title}. "
        + "; ".join(_in_words(name, points, x_label, x_format, y_format) for name, points in drawn.items())
        + ".",
        x_label=x_label,
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=_legible([(place_x(x), x_format(x)) for x in x_ticks], x_gap),
        y_ticks=[(place_y(y), y_format(y)) for y in y_ticks],
        lines=lines,
    )


def _whole_ticks(low: float, high: float) -> list[float]:
    ticks = [x for x in nice_ticks(low, high, 5) if x == int(x) and low <= x <= high]
    return ticks or [low]


def _legible(ticks: Sequence[tuple[float, str]], gap: float) -> list[tuple[float, str]]:
    """The ticks that leave `gap` to the one kept on their right; the last one always stays."""
    kept: list[tuple[float, str]] = []
    for tick in reversed(ticks):
        if not kept or kept[-1][0] - tick[0] >= gap:
            kept.append(tick)
    return kept[::-1]


def _in_words(
    name: str,
    points: Sequence[tuple[float, float]],
    x_label: str,
    x_format: Callable[[float], str],
    y_format: Callable[[float], str],
) -> str:
    (x0, y0), (x1, y1) = points[0], points[-1]
    return f"{name}: {y_format(y0)} at {x_label} {x_format(x0)}, {y_format(y1)} at {x_label} {x_format(x1)}"

"""The stage that a scene is built on, and the things that stand, hang or lie about in it."""

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

from fashion.demo.drawing.canvas import RGB, shade
from fashion.demo.drawing.design import PALETTE, Option, pick

WALLS: tuple[RGB, ...] = (
    (226, 214, 196), (204, 214, 208), (216, 200, 206), (186, 198, 210), (232, 226, 216), (170, 182, 160),
    (212, 184, 156),
)  # fmt: skip
BRIGHT: tuple[RGB, ...] = tuple(PALETTE.values())
WOODS: tuple[RGB, ...] = ((178, 134, 94), (140, 98, 66), (206, 172, 132), (118, 86, 64))


class Stage:
    """Fractions of the picture: (0, 0) is its upper left corner, (1, 1) its lower right."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]):
        self.rng, self.size = rng, size
        self.image = Image.new("RGB", size, (200, 200, 200))
        self.draw = ImageDraw.Draw(self.image)

    def rect(self, x1: float, y1: float, x2: float, y2: float, fill: RGB) -> None:
        (w, h), (x1, x2), (y1, y2) = self.size, sorted((x1, x2)), sorted((y1, y2))
        self.draw.rectangle((x1 * w, y1 * h, x2 * w, y2 * h), fill=fill)

    def poly(self, points: Iterable[tuple[float, float]], fill: RGB) -> None:
        w, h = self.size
        self.draw.polygon([(x * w, y * h) for x, y in points], fill=fill)

    def disc(self, x: float, y: float, r: float, fill: RGB) -> None:
        w, h = self.size
        self.draw.ellipse((x * w - r * w, y * h - r * w, x * w + r * w, y * h + r * w), fill=fill)

    def line(self, points: Iterable[tuple[float, float]], fill: RGB, width: float) -> None:
        w, h = self.size
        self.draw.line([(x * w, y * h) for x, y in points], fill=fill, width=max(1, round(width * w)))

    def u(self, low: float = 0.0, high: float = 1.0) -> float:
        return float(self.rng.uniform(low, high))

    def pick(self, options: Iterable[Option]) -> Option:
        return pick(self.rng, tuple(options))

    def fade(self, top: RGB, bottom: RGB, share: float = 1.0) -> None:
        for i in range(12):
            t = i / 11
            red, green, blue = (int(a + (b - a) * t) for a, b in zip(top, bottom, strict=True))
            self.rect(0, share * i / 12, 1, share * (i + 1) / 12, (red, green, blue))


def plant(s: Stage, x: float, y: float, size: float) -> None:
    """A pot plant; (x, y) is where it leaves the pot."""
    green = s.pick(((74, 128, 84), (96, 148, 82), (52, 104, 78)))
    for i, angle in enumerate(np.linspace(-1.2, 1.2, 7)):
        reach = size * (1.0 + 0.25 * (i % 2))
        tip = (x + reach * np.sin(angle), y - reach * np.cos(angle))
        side = (size * 0.16 * np.cos(angle), size * 0.16 * np.sin(angle))
        mid = ((x + tip[0]) / 2, (y + tip[1]) / 2)
        s.poly(
            [(x, y), (mid[0] - side[0], mid[1] - side[1]), tip, (mid[0] + side[0], mid[1] + side[1])],
            shade(green, 0.85 + 0.1 * (i % 3)),
        )
    pot = s.pick(BRIGHT)
    s.poly(
        [
            (x - size * 0.4, y),
            (x + size * 0.4, y),
            (x + size * 0.3, y + size * 0.55),
            (x - size * 0.3, y + size * 0.55),
        ],
        pot,
    )


def poster(s: Stage, x: float, y: float, size: float) -> None:
    """A framed abstract, its upper left corner at (x, y)."""
    s.rect(x, y, x + size, y + size * 1.1, (246, 244, 240))
    s.rect(x + 0.015, y + 0.012, x + size - 0.015, y + size * 1.1 - 0.012, s.pick(BRIGHT))
    for _ in range(3):
        s.disc(x + size * s.u(0.3, 0.7), y + size * s.u(0.3, 0.8), size * s.u(0.1, 0.24), s.pick(BRIGHT))


def window(s: Stage, x: float, y: float) -> None:
    """A window with curtains, its upper left corner at (x, y)."""
    s.rect(x, y, x + 0.34, y + 0.36, (250, 250, 248))
    s.rect(x + 0.02, y + 0.015, x + 0.32, y + 0.345, s.pick(((176, 212, 238), (240, 206, 160), (96, 112, 160))))
    s.disc(x + s.u(0.1, 0.22), y + s.u(0.1, 0.2), 0.04, (252, 246, 220))
    s.rect(x + 0.16, y, x + 0.18, y + 0.36, (250, 250, 248))
    s.rect(x, y + 0.17, x + 0.34, y + 0.19, (250, 250, 248))
    curtain = s.pick(BRIGHT)
    for left in (x - 0.08, x + 0.31):
        s.poly([(left, y - 0.03), (left + 0.1, y - 0.03), (left + 0.12, y + 0.5), (left - 0.02, y + 0.5)], curtain)


def clothes(s: Stage, x: float, y: float, size: float) -> None:
    """A small shirt or dress on the rack."""
    colour, long = s.pick(BRIGHT), s.pick((1.0, 1.0, 1.7))
    w, h = size * 0.5, size * long
    s.line([(x, y - size * 0.18), (x, y)], (120, 120, 124), 0.006)
    s.poly(
        [
            (x - w * 0.3, y),
            (x + w * 0.3, y),
            (x + w * 1.1, y + size * 0.42),
            (x + w * 0.75, y + size * 0.5),
            (x + w * 0.55, y + size * 0.3),
            (x + w * 0.65, y + h),
            (x - w * 0.65, y + h),
            (x - w * 0.55, y + size * 0.3),
            (x - w * 0.75, y + size * 0.5),
            (x - w * 1.1, y + size * 0.42),
        ],
        colour,
    )
    if s.u() < 0.5:
        other = s.pick(BRIGHT)
        for i in range(3):
            s.rect(x - w * 0.55, y + h * (0.35 + 0.2 * i), x + w * 0.55, y + h * (0.44 + 0.2 * i), other)


def things(s: Stage) -> None:
    """What lies about: a mug, a book, glasses, shoes, a phone."""
    for _ in range(int(s.u(2, 6))):
        kind, colour = s.pick(("mug", "book", "shoes", "phone", "leaf")), s.pick(BRIGHT)
        x, y = s.pick(((s.u(0, 0.16), s.u()), (s.u(0.84, 1), s.u()), (s.u(), s.u(0, 0.14)), (s.u(), s.u(0.86, 1))))
        if kind == "mug":
            s.disc(x + 0.06, y, 0.03, colour)
            s.disc(x, y, 0.07, colour)
            s.disc(x, y, 0.055, (104, 72, 52))
        elif kind == "book":
            lean = s.u(-0.05, 0.05)
            s.poly(
                [
                    (x - 0.1, y - 0.1 + lean),
                    (x + 0.1, y - 0.1 - lean),
                    (x + 0.1 + lean, y + 0.1),
                    (x - 0.1 + lean, y + 0.1 + lean),
                ],
                colour,
            )
            s.line([(x - 0.05, y - 0.04), (x + 0.05, y - 0.04)], (250, 246, 240), 0.012)
        elif kind == "shoes":
            for dx in (0, 0.08):
                s.disc(x + dx, y, 0.035, colour)
                s.disc(x + dx, y + 0.05, 0.03, colour)
                s.disc(x + dx, y + 0.045, 0.018, (246, 242, 236))
        elif kind == "phone":
            s.rect(x - 0.05, y - 0.08, x + 0.05, y + 0.08, (48, 50, 58))
            s.disc(x - 0.025, y - 0.055, 0.014, (120, 126, 140))
        else:
            plant(s, x, y, 0.14)

"""Prints for the chest: small pictures drawn in a square of 100 x 100."""

from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from fashion.demo.drawing.canvas import RGB, shade

Points = Iterable[tuple[float, float]] | np.ndarray  # (N, 2)

_SIDE = 200  # drawn at twice 100


@lru_cache(maxsize=64)
def motif(name: str, main: RGB, accent: RGB, number: int = 7) -> Image.Image:
    """The print `name` as an RGBA picture of 200 x 200 pixels; `number` (0..99) is what the shirt of that name says."""
    picture = Image.new("RGBA", (_SIDE, _SIDE))
    brush = _Brush(ImageDraw.Draw(picture), (250, 246, 238) if sum(main) < 270 else (52, 46, 54))
    if name == "number":
        _number(brush, main, accent, number)
    else:
        _MOTIFS[name](brush, main, accent)
    return picture


class _Brush:
    """Coordinates 0..100; `face` puts two eyes and a smile on anything, in a colour `ink` that shows."""

    def __init__(self, draw: ImageDraw.ImageDraw, ink: RGB):
        self.draw, self.ink = draw, ink

    def polygon(self, points: Points, fill: RGB) -> None:
        self.draw.polygon([(2 * float(x), 2 * float(y)) for x, y in points], fill=(*fill, 255))

    def disc(self, x: float, y: float, r: float, fill: RGB, ry: float | None = None) -> None:
        ry = r if ry is None else ry
        self.draw.ellipse((2 * (x - r), 2 * (y - ry), 2 * (x + r), 2 * (y + ry)), fill=(*fill, 255))

    def erase(self, x: float, y: float, r: float) -> None:
        self.draw.ellipse((2 * (x - r), 2 * (y - r), 2 * (x + r), 2 * (y + r)), fill=(0, 0, 0, 0))

    def arc(self, x: float, y: float, r: float, start: float, end: float, fill: RGB, width: float) -> None:
        self.draw.arc((2 * (x - r), 2 * (y - r), 2 * (x + r), 2 * (y + r)), start, end, (*fill, 255), int(2 * width))

    def line(self, points: Points, fill: RGB, width: float) -> None:
        self.draw.line([(2 * float(x), 2 * float(y)) for x, y in points], (*fill, 255), int(2 * width), joint="curve")

    def face(self, x: float, y: float, size: float) -> None:
        ink = self.ink
        self.disc(x - size, y, size * 0.28, ink)
        self.disc(x + size, y, size * 0.28, ink)
        self.arc(x, y + size * 0.1, size * 0.7, 20, 160, ink, max(1.5, size * 0.2))


def _spokes(count: int, inner: float, outer: float, turn: float = -90.0) -> np.ndarray:
    angles = np.radians(turn + np.arange(2 * count) * 180.0 / count)
    radii = np.where(np.arange(2 * count) % 2 == 0, outer, inner)
    return np.stack([50 + radii * np.cos(angles), 50 + radii * np.sin(angles)], axis=1)


def _cat(b: _Brush, main: RGB, accent: RGB) -> None:
    b.polygon([(20, 50), (22, 12), (46, 32)], main)
    b.polygon([(80, 50), (78, 12), (54, 32)], main)
    b.polygon([(27, 36), (27, 22), (37, 31)], accent)
    b.polygon([(73, 36), (73, 22), (63, 31)], accent)
    b.disc(50, 56, 34, main, 30)
    b.disc(37, 52, 5, b.ink, 6)
    b.disc(63, 52, 5, b.ink, 6)
    b.polygon([(46, 61), (54, 61), (50, 66)], accent)
    for side in (-1, 1):
        b.arc(50 + side * 5, 65, 5, 10, 170, b.ink, 1.8)
        for lift in (-3, 4):
            b.line([(50 + side * 20, 64), (50 + side * 42, 64 + lift)], b.ink, 1.4)


def _star(b: _Brush, main: RGB, accent: RGB) -> None:
    b.polygon(_spokes(5, 20, 46), main)
    b.face(50, 50, 8)


def _heart(b: _Brush, main: RGB, accent: RGB) -> None:
    t = np.linspace(0, 2 * np.pi, 60)
    x = 50 + 2.6 * 16 * np.sin(t) ** 3
    y = 46 - 2.6 * (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    b.polygon(np.stack([x, y], 1), main)
    b.disc(34, 32, 5, shade(main, 1.7), 7)


def _sun(b: _Brush, main: RGB, accent: RGB) -> None:
    b.polygon(_spokes(12, 30, 46), accent)
    b.disc(50, 50, 28, main)
    b.face(50, 48, 9)


def _moon(b: _Brush, main: RGB, accent: RGB) -> None:
    b.disc(46, 50, 40, main)
    b.erase(64, 40, 33)
    for x, y, r in ((70, 34, 8), (84, 58, 5), (62, 58, 4)):
        b.polygon((_spokes(4, 0.35, 1.0) - 50) * r + (x, y), accent)


def _flower(b: _Brush, main: RGB, accent: RGB) -> None:
    b.line([(50, 50), (50, 96)], (86, 138, 84), 5)
    b.disc(62, 80, 12, (86, 138, 84), 6)
    for angle in np.radians(np.arange(0, 360, 60)):
        b.disc(50 + 22 * np.cos(angle), 38 + 22 * np.sin(angle), 15, main)
    b.disc(50, 38, 13, accent)


def _bolt(b: _Brush, main: RGB, accent: RGB) -> None:
    shape = np.array([(58, 4), (22, 56), (46, 56), (36, 96), (80, 38), (54, 38), (70, 4)])
    b.polygon(shape + np.array((4, 3)), accent)
    b.polygon(shape, main)


def _mountain(b: _Brush, main: RGB, accent: RGB) -> None:
    b.disc(70, 28, 13, accent)
    b.polygon([(4, 84), (40, 22), (76, 84)], main)
    b.polygon([(46, 84), (72, 44), (98, 84)], shade(main, 0.72))
    b.polygon([(40, 22), (51, 41), (44, 38), (39, 45), (34, 38), (29, 41)], (250, 250, 248))


def _fish(b: _Brush, main: RGB, accent: RGB) -> None:
    b.polygon([(66, 50), (96, 26), (90, 50), (96, 74)], accent)
    b.disc(42, 50, 36, main, 23)
    b.disc(24, 44, 6, (255, 255, 255))
    b.disc(23, 44, 3, b.ink)
    for x in (44, 56, 68):
        b.arc(x - 8, 50, 11, -55, 55, accent, 2.5)


def _strawberry(b: _Brush, main: RGB, accent: RGB) -> None:
    b.polygon([(14, 34), (30, 22), (70, 22), (86, 34), (78, 62), (50, 96), (22, 62)], (214, 62, 70))
    for x, y in ((34, 42), (50, 38), (66, 42), (42, 56), (58, 56), (50, 72)):
        b.disc(x, y, 2.4, (250, 220, 130), 3.4)
    b.polygon([(50, 32), (26, 30), (40, 20), (34, 6), (50, 16), (66, 6), (60, 20), (74, 30)], (86, 148, 84))


def _mushroom(b: _Brush, main: RGB, accent: RGB) -> None:
    b.disc(50, 72, 17, (244, 232, 210), 24)
    b.disc(50, 44, 42, main, 34)
    b.draw.rectangle((0, 116, 66, 170), fill=(0, 0, 0, 0))
    b.draw.rectangle((134, 116, 200, 170), fill=(0, 0, 0, 0))
    b.draw.rectangle((66, 116, 134, 180), fill=(244, 232, 210, 255))
    for x, y, r in ((32, 36, 8), (56, 26, 9), (72, 46, 7), (44, 50, 5)):
        b.disc(x, y, r, (252, 248, 240))
    b.face(50, 70, 7)


def _cactus(b: _Brush, main: RGB, accent: RGB) -> None:
    green = (82, 146, 96)
    b.line([(50, 74), (50, 24)], green, 22)
    b.disc(50, 22, 11, green)
    for side, y in ((-1, 52), (1, 44)):
        b.line([(50, y), (50 + side * 28, y), (50 + side * 28, y - 18)], green, 12)
        b.disc(50 + side * 28, y - 18, 6, green)
    b.disc(50, 11, 7, (236, 130, 160))
    b.polygon([(28, 70), (72, 70), (66, 97), (34, 97)], accent)
    b.face(50, 38, 5)


def _rainbow(b: _Brush, main: RGB, accent: RGB) -> None:
    for i, colour in enumerate(((214, 74, 74), (234, 176, 76), (96, 162, 110), (86, 132, 196))):
        b.arc(50, 68, 46 - 9 * i, 180, 360, colour, 9)
    for x in (16, 84):
        b.disc(x - 8, 72, 9, (250, 250, 250))
        b.disc(x + 8, 72, 9, (250, 250, 250))
        b.disc(x, 66, 11, (250, 250, 250))


def _planet(b: _Brush, main: RGB, accent: RGB) -> None:
    b.disc(50, 50, 30, main)
    b.disc(40, 40, 7, shade(main, 1.6))
    b.disc(60, 62, 5, shade(main, 0.75))
    t = np.linspace(-0.15, np.pi + 0.15, 30)
    x, y = 46 * np.cos(t), 10 * np.sin(t)
    b.line(np.stack([50 + 0.92 * x + 0.38 * y, 50 - 0.38 * x + 0.92 * y], 1), accent, 6)


def _smiley(b: _Brush, main: RGB, accent: RGB) -> None:
    b.disc(50, 50, 42, (244, 200, 72))
    b.ink = (52, 46, 54)
    b.disc(36, 42, 5, b.ink, 8)
    b.disc(64, 42, 5, b.ink, 8)
    b.arc(50, 50, 26, 15, 165, b.ink, 5)


def _whale(b: _Brush, main: RGB, accent: RGB) -> None:
    b.disc(44, 62, 36, main, 26)
    b.polygon([(66, 66), (84, 46), (74, 26), (88, 34), (99, 22), (98, 44), (84, 76)], main)
    b.disc(40, 76, 26, shade(main, 1.8), 11)
    b.disc(26, 58, 4, b.ink)
    for side in (-1, 1):
        b.arc(40 + side * 9, 26, 9, 180, 360, (126, 190, 226), 4)
    b.line([(40, 26), (40, 38)], (126, 190, 226), 4)


def _avocado(b: _Brush, main: RGB, accent: RGB) -> None:
    for grow, colour in ((0, (70, 112, 66)), (6, (206, 218, 136))):
        b.disc(50, 66, 34 - grow, colour, 31 - grow)
        b.disc(50, 34, 21 - grow, colour, 29 - grow)
    b.disc(50, 68, 15, (140, 92, 60))
    b.disc(45, 63, 4, (184, 136, 96))
    b.face(50, 36, 6)


_SEGMENTS = {
    0: "abcdef",
    1: "bc",
    2: "abged",
    3: "abgcd",
    4: "fgbc",
    5: "afgcd",
    6: "afgedc",
    7: "abc",
    8: "abcdefg",
    9: "abcdfg",
}
_STROKES = {
    "a": (0, 0, 1, 0),
    "b": (1, 0, 1, 1),
    "c": (1, 1, 1, 2),
    "d": (0, 2, 1, 2),
    "e": (0, 1, 0, 2),
    "f": (0, 0, 0, 1),
    "g": (0, 1, 1, 1),
}


def _number(b: _Brush, main: RGB, accent: RGB, number: int) -> None:
    for colour, shift in ((accent, 3), (main, 0)):
        for left, digit in ((14, number // 10 % 10), (58, number % 10)):
            for x1, y1, x2, y2 in (_STROKES[segment] for segment in _SEGMENTS[digit]):
                points = [
                    (left + 28 * x1 + shift, 18 + 32 * y1 + shift),
                    (left + 28 * x2 + shift, 18 + 32 * y2 + shift),
                ]
                b.line(points, colour, 11)
                for x, y in points:
                    b.disc(x, y, 5.5, colour)


_MOTIFS: dict[str, Callable[[_Brush, RGB, RGB], None]] = {
    "cat": _cat, "star": _star, "heart": _heart, "sun": _sun, "moon": _moon, "flower": _flower, "bolt": _bolt,
    "mountain": _mountain, "fish": _fish, "strawberry": _strawberry, "mushroom": _mushroom, "cactus": _cactus,
    "rainbow": _rainbow, "planet": _planet, "smiley": _smiley, "whale": _whale, "avocado": _avocado,
}  # fmt: skip

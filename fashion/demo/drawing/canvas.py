"""Drawing in body units: a `Frame` maps them to pixels, a `Pen` paints smooth shapes in them.

Body units: a standing figure is 510 units tall, x = 0 is its middle line, y grows downwards from the top of the head
(shoulders at 106, waist at 212, crotch at 300, feet at 505).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

RGB = tuple[int, int, int]
_OVERSAMPLING = 2


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A window on the body plane: `left`, `top` in units, `scale` in pixels a unit, `width` x `height` pixels."""

    left: float
    top: float
    scale: float
    width: int
    height: int

    def pixels(self, points: ArrayLike) -> np.ndarray:
        """Body units (N, 2) -> pixels (N, 2)."""
        return (np.asarray(points, dtype=np.float64) - (self.left, self.top)) * self.scale

    def coordinates(self) -> tuple[np.ndarray, np.ndarray]:
        """x (1, width) and y (height, 1), float32: the body units of every pixel's centre, ready to broadcast."""
        x = (np.arange(self.width, dtype=np.float32) + 0.5) / self.scale + self.left
        y = (np.arange(self.height, dtype=np.float32) + 0.5) / self.scale + self.top
        return x[None, :], y[:, None]

    def around(self, points: ArrayLike, margin: float) -> "Frame":
        """The part of this frame, on its pixel grid, that holds `points` and `margin` units round them."""
        scaled = self.pixels(points)
        low = np.floor(scaled.min(0) - margin * self.scale).astype(int).clip(0, (self.width - 1, self.height - 1))
        high = np.ceil(scaled.max(0) + margin * self.scale).astype(int).clip(low + 1, (self.width, self.height))
        left, top = low / self.scale + (self.left, self.top)
        width, height = (high - low).tolist()
        return Frame(left=float(left), top=float(top), scale=self.scale, width=width, height=height)

    def offset(self, inner: "Frame") -> tuple[int, int]:
        """Pixel position of the corner of `inner`, a frame made by `around`, in this one."""
        x, y = self.pixels([(inner.left, inner.top)])[0]
        return round(x), round(y)


class Pen:
    """Paints on a transparent picture at twice the frame's resolution; `image` gives it back at the frame's."""

    def __init__(self, frame: Frame):
        self.frame = frame
        # Every pixel is opaque or (0, 0, 0, 0), premultiplied already. Called RGBX, it is averaged as it is; as RGBA,
        # Pillow would convert the large picture there and back, which takes three times as long.
        self._large = Image.new("RGBX", (frame.width * _OVERSAMPLING, frame.height * _OVERSAMPLING))
        self._draw = ImageDraw.Draw(self._large)

    def polygon(self, points: ArrayLike, fill: RGB) -> None:
        self._draw.polygon(self._at(points), fill=(*fill, 255))

    def line(self, points: ArrayLike, fill: RGB, width: float) -> None:
        pixels = max(1, round(width * self.frame.scale * _OVERSAMPLING))
        self._draw.line(self._at(points), fill=(*fill, 255), width=pixels, joint="curve")

    def dashes(self, points: ArrayLike, fill: RGB, width: float, *, step: float = 3.0) -> None:
        """A stitched line: every other piece of `step` units."""
        points = np.asarray(points, dtype=np.float64)
        lengths = np.hypot(*np.diff(points, axis=0).T)
        along = np.concatenate([[0.0], np.cumsum(lengths)])
        stops = np.arange(0.0, along[-1], step)
        places = np.stack([np.interp(stops, along, points[:, axis]) for axis in (0, 1)], axis=1)
        for start, end in zip(places[:-1:2], places[1::2], strict=False):
            self.line([start, end], fill, width)

    def ellipse(
        self,
        centre: tuple[float, float],
        radius: float | tuple[float, float],
        fill: RGB | None,
        outline: RGB | None = None,
        width: float = 1.0,
    ) -> None:
        """`radius` is a number or (x, y), in units."""
        rx, ry = radius if isinstance(radius, tuple) else (radius, radius)
        (x1, y1), (x2, y2) = self._at([(centre[0] - rx, centre[1] - ry), (centre[0] + rx, centre[1] + ry)])
        pixels = max(1, round(width * self.frame.scale * _OVERSAMPLING))
        self._draw.ellipse((x1, y1, x2, y2), fill=fill, outline=outline, width=pixels)

    def paste(self, picture: Image.Image, centre: tuple[float, float], width: float, angle: float = 0.0) -> None:
        """Lay an RGBA picture with its middle at `centre`, `width` units wide, turned by `angle` degrees."""
        pixels = max(1, round(width * self.frame.scale * _OVERSAMPLING))
        small = picture.resize(
            (pixels, max(1, round(pixels * picture.height / picture.width))), Image.Resampling.BILINEAR
        )
        if angle:
            small = small.rotate(angle, Image.Resampling.BILINEAR, expand=True)
        x, y = self._at([centre])[0]
        corner = (round(x - small.width / 2), round(y - small.height / 2))
        self._large.paste(small, corner, small)

    def image(self) -> Image.Image:
        small = self._large.reduce(_OVERSAMPLING)
        return Image.frombuffer("RGBa", small.size, small.tobytes(), "raw", "RGBa", 0, 1).convert("RGBA")

    def _at(self, points: ArrayLike) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in self.frame.pixels(points) * _OVERSAMPLING]


def mask(frame: Frame, *polygons: ArrayLike) -> Image.Image:
    """The union of polygons (N, 2) in units as an L picture, 255 inside, with smooth edges."""
    large = Image.new("L", (frame.width * _OVERSAMPLING, frame.height * _OVERSAMPLING))
    draw = ImageDraw.Draw(large)
    for points in polygons:
        draw.polygon([tuple(p) for p in (frame.pixels(points) * _OVERSAMPLING).tolist()], fill=255)
    return large.reduce(_OVERSAMPLING)


def seam_mask(frame: Frame, points: np.ndarray, width: float) -> Image.Image:
    """The closed line through points (N, 2), `width` units wide, as an L picture."""
    large = Image.new("L", (frame.width * _OVERSAMPLING, frame.height * _OVERSAMPLING))
    scaled = [tuple(p) for p in (frame.pixels([*points, points[0]]) * _OVERSAMPLING).tolist()]
    ImageDraw.Draw(large).line(scaled, fill=255, width=round(width * frame.scale * _OVERSAMPLING), joint="curve")
    return large.reduce(_OVERSAMPLING)


def smooth(points: ArrayLike, steps: int = 6) -> np.ndarray:
    """A Catmull-Rom curve through `points` (N, 2): ((N - 1) * steps + 1, 2)."""
    p = np.asarray(points, dtype=np.float64)
    padded = np.concatenate([p[:1], p, p[-1:]])
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (padded[i : i + len(p) - 1, None, :] for i in range(4))
    pieces = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([pieces.reshape(-1, 2), p[-1:]])


def ribbon(centre: ArrayLike, half_widths: ArrayLike) -> np.ndarray:
    """The outline of a band round the line `centre` (N, 2), `half_widths` (N,) to each side: (2N, 2)."""
    centre = np.asarray(centre, dtype=np.float64)
    tangent = np.gradient(centre, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) / np.hypot(*tangent.T)[:, None].clip(1e-6)
    offset = normal * np.asarray(half_widths, dtype=np.float64)[:, None]
    return np.concatenate([centre + offset, (centre - offset)[::-1]])


def mirrored(points: ArrayLike) -> np.ndarray:
    """The same points on the other side of the middle line, in reverse order, so that an outline goes on round."""
    return np.asarray(points, dtype=np.float64)[::-1] * (-1.0, 1.0)


def shade(colour: RGB, factor: float) -> RGB:
    """Darker (below 1) or lighter (above 1: towards white)."""
    red, green, blue = (int(c * factor) if factor <= 1 else int(255 - (255 - c) / factor) for c in colour)
    return red, green, blue

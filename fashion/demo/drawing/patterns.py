"""Woven and printed patterns: colour as a function of place on the cloth, in body units."""

from collections.abc import Callable

import numpy as np

from fashion.demo.drawing.design import Garment

# A pattern takes places x and y (in units; arrays that broadcast), the period in units and a generator, and says how
# much of the second colour there is (0 to 1), and how much of the third on top.
Cover = tuple[np.ndarray, np.ndarray | float]
Pattern = Callable[[np.ndarray, np.ndarray, float, np.random.Generator], Cover]


def paint(garment: Garment, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The cloth's colour at every place: float32 in 0..255, (H, W, 3), or (1, 1, 3) where it is the same everywhere."""
    ground, second, third = (np.asarray(colour, dtype=np.float32) for colour in garment.colours)
    if garment.pattern == "plain":
        return ground[None, None]
    cover, top = PATTERNS[garment.pattern](x, y, garment.pattern_size, garment.random(_STREAM))
    cover = np.broadcast_to(cover, np.broadcast_shapes(x.shape, y.shape))[..., None]
    colour = ground + cover * (second - ground)
    if not np.isscalar(top):
        colour += np.broadcast_to(top, cover.shape[:2])[..., None] * (third - colour)
    return colour.astype(np.float32, copy=False)


_STREAM = 11


def _edge(distance: np.ndarray) -> np.ndarray:
    """1 where the signed distance (units) is inside (negative), 0 outside, about one unit soft."""
    return np.clip(0.5 - distance, 0.0, 1.0)


def _bars(u: np.ndarray, period: float, share: float) -> np.ndarray:
    """Bars across u, `share` of each period covered."""
    return _edge(np.abs(u % period - period / 2) - share * period / 2)


def _stripes(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    return _bars(y, size, 0.5), 0.0


def _vertical(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    return _bars(x, size * 0.8, 0.4), 0.0


def _diagonal(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    return _bars((x + y) * 0.7071, size, 0.45), 0.0


def _breton(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    return _bars(y, size * 0.75, 0.28) * _edge(133.0 - y), 0.0


def _gingham(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    return (_bars(x, size, 0.5) + _bars(y, size, 0.5)) / 2, 0.0


def _plaid(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    size = size * 1.5
    wide = (_bars(x, size, 0.5) + _bars(y, size, 0.5)) * 0.42
    thin = np.maximum(_bars(x + size / 2, size, 0.09), _bars(y + size / 2, size, 0.09))
    return wide, thin


def _argyle(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    u, v = x / (size * 1.1), y / (size * 1.7)
    return _edge((np.abs(u % 1 - 0.5) + np.abs(v % 1 - 0.5) - 0.48) * size), _bars(u * size + v * size, size, 0.07)


def _zigzag(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    return _bars(y + np.abs(x % size - size / 2) * 0.9, size * 0.9, 0.45), 0.0


def _waves(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    return _bars(y + np.sin(x * (2 * np.pi / (size * 1.5))) * size * 0.28, size * 0.8, 0.45), 0.0


def _gradient(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    return np.clip((y - 120) / 170, 0.0, 1.0), 0.0


def _blocks(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    first, tilt = rng.uniform(150, 235), float(rng.choice((0.0, 0.0, 0.5, -0.5)))
    level = y + tilt * x - first
    return _edge(-level), _edge(-level) * _edge(level - size * 1.2)


def _leopard(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    cells = _scatter(x, y, size * 0.62, rng, 0.3)
    ring = np.abs(np.hypot(cells.dx, cells.dy * 1.25) - size * 0.17) - size * 0.07
    return _edge(ring + size * 0.04 * np.sin(3 * cells.angle + cells.turn)), _edge(ring + size * 0.1) * 0.0


def _terrazzo(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    cells = _scatter(x, y, size * 0.6, rng, 0.3)
    corner = np.abs(np.cos(1.5 * cells.angle + cells.turn))
    spots = _edge(np.hypot(cells.dx, cells.dy) - size * (0.1 + 0.13 * corner))
    return spots * (cells.dice < 0.6), spots * (cells.dice >= 0.6)


def _dots(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    cells = _lattice(x, y, size * 0.85)
    return _edge(np.hypot(cells.dx, cells.dy) - size * 0.24), 0.0


def _floral(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    cells = _scatter(x, y, size, rng, 0.16)
    radius = np.hypot(cells.dx, cells.dy)
    petals = _edge(radius - size * (0.26 + 0.12 * np.cos(5 * cells.angle + cells.turn)))
    return petals, _edge(radius - size * 0.12)


def _hearts(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    cells = _lattice(x, y, size)
    u, v = cells.dx / (size * 0.3), -cells.dy / (size * 0.3) + 0.25
    return _edge((np.sqrt(u**2 + (v - 0.75 * np.sqrt(np.abs(u))) ** 2) - 1.0) * size * 0.3), 0.0


def _stars(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> Cover:
    cells = _lattice(x, y, size)
    wedge = np.abs((cells.angle + np.pi / 2) / (2 * np.pi) * 5 % 1 - 0.5) * 2
    return _edge(np.hypot(cells.dx, cells.dy) - size * (0.17 + 0.24 * wedge**1.3)), 0.0


class _Cells:
    """Place relative to the middle of the cell's motif, with the cell's own turn (radians) and dice (0..1)."""

    def __init__(
        self, dx: np.ndarray, dy: np.ndarray, turn: np.ndarray | float = 0.0, dice: np.ndarray | float = 0.0
    ) -> None:
        self.dx, self.dy, self.turn, self.dice = dx, dy, turn, dice

    @property
    def angle(self) -> np.ndarray:
        return np.arctan2(self.dy, self.dx)


def _lattice(x: np.ndarray, y: np.ndarray, period: float) -> _Cells:
    """Motifs on a regular grid, every other row shifted by a half."""
    row = np.floor(y / period)
    dx = (x + (row % 2) * period / 2) % period - period / 2
    return _Cells(dx, np.broadcast_to(y - (row + 0.5) * period, dx.shape))


def _scatter(x: np.ndarray, y: np.ndarray, period: float, rng: np.random.Generator, jitter: float) -> _Cells:
    """The same, with each motif moved by up to `jitter` periods."""
    table = rng.random((4, 64)).astype(np.float32)
    row = np.floor(y / period)
    shifted = x + (row % 2) * period / 2
    column = np.floor(shifted / period)
    cell = ((row * 23 + column * 7) % 64).astype(np.intp)
    move = (table[:2] - 0.5) * (2 * jitter * period)
    dx = shifted - (column + 0.5) * period - move[0][cell]
    dy = y - (row + 0.5) * period - move[1][cell]
    return _Cells(dx, dy, table[2][cell] * np.float32(2 * np.pi), table[3][cell])


PATTERNS: dict[str, Pattern] = {
    "stripes": _stripes, "vertical": _vertical, "diagonal": _diagonal, "breton": _breton, "gingham": _gingham,
    "plaid": _plaid, "argyle": _argyle, "dots": _dots, "floral": _floral, "hearts": _hearts, "stars": _stars,
    "zigzag": _zigzag, "waves": _waves, "leopard": _leopard, "terrazzo": _terrazzo, "gradient": _gradient,
    "blocks": _blocks,
}  # fmt: skip

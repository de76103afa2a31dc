"""Which pairs may reach a threshold, by products of 8 bits, twice as fast as those of bfloat16 and exact in themselves.

A vector is rounded to whole numbers from -127 to 127 times a scale. The sum of the products of whole numbers is exact, so
all that is lost is what rounding took away, whose lengths are measured. The product is compared within the instruction that
ends it: what is below its threshold comes out as the byte 0.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from fashion.retrieval.products.fast import ROUNDED_ROWS, Bfloat16, Float32
from fashion.retrieval.products.precision import warm
from fashion.retrieval.products.score import LEAST, UNIT32, lengths
from fashion.retrieval.products.threads import even_slices, threads

FEWEST = 256  # queries that pay for it
TILE_BYTES = 1 << 20  # stays in the cache
LEVELS = 127
ZERO = 128  # of the unsigned bytes
PASSING = 0.005  # share of all pairs; of more the exact scores cost what the product saves
STEPS = 4096  # of a byte, in the greatest score that a query could have: what is lost to their size is next to nothing
FAR = float(1 << 20)  # steps; further below or above a threshold tells no more
MOST = 4_000_000  # pairs that are held
SMALL = 1e-30  # greatest entry whose scale might not be a normal number: such vectors are rounded to zero
EXTREMES = 1e-15, 1e15  # lengths of vectors between which no scale leaves the range of float32


@dataclass(frozen=True, kw_only=True)
class Rounded:
    """N vectors as whole numbers."""

    numbers: np.ndarray  # (N, D) int8
    scales: np.ndarray  # (N,) or () float64, what a 1 stands for
    lost: np.ndarray  # (N,) float64 lengths of what rounding took away, none too short


def rounded(x_ND: np.ndarray, *, by_row: bool) -> Rounded:
    """`by_row`: each row with a scale of its own, or all with one."""
    greatest = np.abs(x_ND).max(1 if by_row else None, initial=0.0)
    scales = np.where(greatest > SMALL, greatest, np.float32(1)).astype(np.float32) / np.float32(LEVELS)
    steps = scales[..., None] if by_row else scales
    numbers = np.rint(x_ND / steps)
    rest = numbers * steps
    np.subtract(x_ND, rest, out=rest)
    # The products above are rounded to float32: by at most a unit of a number that is little greater than the entry.
    lost = lengths(rest) + 4 * UNIT32 * lengths(x_ND)
    return Rounded(numbers=numbers.astype(np.int8), scales=scales.astype(np.float64), lost=lost)


class Sieve:
    """For Q queries of known lengths."""

    def __init__(self, queries_QD: np.ndarray, query_lengths: np.ndarray):
        import torch

        Q, D = queries_QD.shape
        self.rounded, self.lengths = rounded(queries_QD, by_row=True), query_lengths
        self.width = -(-Q // 8) * 8  # whole words
        weights = np.zeros((self.width, D), np.int8)
        weights[:Q] = self.rounded.numbers
        self.rows = max(64, TILE_BYTES // self.width)  # of the gallery, a product
        self.packed = torch.ops.onednn.qlinear_prepack(torch.from_numpy(weights), [self.rows, D])
        self.zeros = torch.zeros(self.width, dtype=torch.int32)

    def passing(
        self, vectors_ND: np.ndarray, longest: float, thresholds: np.ndarray, most: float = PASSING
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Queries and vectors of all pairs whose score may be at least the query's threshold, and of some others, ordered by
        query; None where they are more than this share of all pairs."""
        Q, N = len(self.lengths), len(vectors_ND)
        places, count = [np.empty(0, np.int64)], 0
        for rows in even_slices(N, ROUNDED_ROWS):
            for start, passed in self._tiles(vectors_ND[rows], longest, thresholds):
                places.append(passed + (rows.start + start) * self.width)
                count += len(passed)
                if count > min(MOST, most * Q * rows.stop + Q):
                    return None
        vector, query = np.divmod(np.concatenate(places), self.width)
        order = np.argsort(query.astype(np.uint16) if Q <= 1 << 16 else query, kind="stable")
        return query[order], vector[order]

    def _tiles(
        self, vectors_nD: np.ndarray, longest: float, thresholds: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray]]:
        """The first vector of a tile, and places, ascending, in a matrix of a row a vector and `width` columns."""
        import torch

        vectors = rounded(vectors_nD, by_row=False)
        numbers = torch.from_numpy(vectors.numbers.view(np.uint8) ^ np.uint8(ZERO))
        scales, offsets = self._steps(vectors, longest, thresholds)
        given = self.packed, torch.from_numpy(scales), self.zeros, torch.from_numpy(offsets)
        for some in even_slices(len(numbers), self.rows):
            yield some.start, _nonzero(_bytes(numbers[some], *given).view(-1).numpy())

    def _steps(self, vectors: Rounded, longest: float, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(width,) float32 scales and offsets: scale x sum + offset is above 1 where a pair may reach its threshold.

        With x = a + dx and y = b + dy: x.y - a.b = dx.y + a.dy, at most |dx||y| + |a||dy| by Cauchy-Schwarz; the score is
        rounded to float32, and so are, a few times, the product and the offset, both of at most FAR steps: under half a
        step, of the two that are added.
        """
        lost, a = self.rounded.lost, self.lengths + self.rounded.lost
        greatest = a * longest
        rest = float(vectors.lost.max(initial=0.0))
        error = 1.01 * (lost * longest + a * rest + 8 * UNIT32 * greatest) + LEAST
        step = greatest / STEPS
        scales, offsets = np.zeros(self.width, np.float32), np.full(self.width, -FAR, np.float32)
        Q = len(step)
        scales[:Q] = self.rounded.scales * vectors.scales / step
        offsets[:Q] = np.clip(2 + (error - thresholds) / step, -FAR, FAR)
        return scales, offsets


def sieve(queries_QD: np.ndarray, query_lengths: np.ndarray, longest: float) -> Sieve | None:
    """None for vectors whose lengths leave no room for scales in float32, or too few queries."""
    least, most = EXTREMES
    sizes = [float(query_lengths.max(initial=0.0)), longest]
    if (
        len(query_lengths) < FEWEST
        or not least < float(query_lengths.min())
        or not least < longest
        or max(sizes) > most
    ):
        return None
    return Sieve(queries_QD, query_lengths)


def _bytes(numbers: Any, packed: Any, scales: Any, zeros: Any, offsets: Any) -> Any:
    """(n, width) uint8: scale x sum + offset, rounded; 0 for what is below, 255 for what is above."""
    import torch

    return torch.ops.onednn.qlinear_pointwise(
        numbers, 1.0, ZERO, packed, scales, zeros, offsets, 1.0, 0, torch.uint8, "none", [], ""
    )


def _nonzero(kept: np.ndarray) -> np.ndarray:
    """Places, ascending, of the bytes that are not 0, which are few."""
    words = kept.view(np.uint64)
    some = np.flatnonzero(words != 0)
    within = np.flatnonzero(words[some].view(np.uint8))
    return (some << 3)[within >> 3] + (within & 7)


@cache
def exact_here() -> bool:
    """Whether this machine and this torch have the product, and its sums are exact: older instructions add pairs of products
    in 16 bits, and cut off what does not fit."""
    try:
        import torch

        rng = np.random.default_rng(2)
        x, y = rng.integers(-LEVELS, LEVELS + 1, (2, 64, 512)).astype(np.int8)
        x[:2], y[:2] = LEVELS, LEVELS
        x[1], y[1] = -LEVELS, -LEVELS
        packed = torch.ops.onednn.qlinear_prepack(torch.from_numpy(y), [64, 512])
        sums = x.astype(np.int64) @ y.T.astype(np.int64)
        zeros, one = torch.zeros(64, dtype=torch.int32), torch.ones(64)
        numbers = torch.from_numpy(x.view(np.uint8) ^ np.uint8(ZERO))
        for row in range(64):  # a threshold a column, as near to this row's sums as a byte tells
            offsets = torch.from_numpy((100 - sums[row]).astype(np.float32))
            computed = _bytes(numbers, packed, one, zeros, offsets).numpy()
            wanted = np.clip(sums + 100 - sums[row], 0, 255)
            if (computed != wanted).any():
                return False
        return True
    except (RuntimeError, AttributeError, ImportError, NotImplementedError):
        return False


def pays(queries: int) -> bool:
    """Whether it is faster here, for so many queries, than products that are compared afterwards: measured once a process.

    Several threads share the other products by rows of queries; a sieve is for one, such as a task has.
    """
    return queries >= FEWEST and threads() == 1 and warm() and exact_here() and _faster()


@cache
def _faster(Q: int = 1024, N: int = 2048, D: int = 128) -> bool:
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((n, D), dtype=np.float32) for n in (Q, N))
    size, longest, far = lengths(x), float(lengths(y).max()), np.full(Q, 1e9, np.float32)
    sifting, above = Sieve(x, size), np.empty((Q, N), bool)

    def compared(kind: type) -> Callable:
        made = kind(x, size, y, longest, None)
        return lambda: np.greater(made.tile(slice(0, Q), slice(0, N)), made.under(far)[:, None], out=above)

    others = min(_least(compared(kind)) for kind in (Float32, Bfloat16))
    return _least(lambda: sifting.passing(y, longest, far)) < others


def _least(work: Callable, turns: int = 5) -> float:
    seconds = []
    for _ in range(turns):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)

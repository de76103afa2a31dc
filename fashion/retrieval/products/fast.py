"""Fast inner products of tiles of queries and gallery, in float32 or in bfloat16, by NumPy or torch.

A tile holds keys: numbers in the order of the products. Both kinds say how far a product may be from the score and which
keys are beyond a bound, so that whoever asks gets an answer that is certain in both.
"""

import threading
from collections.abc import Callable

import numpy as np

from fashion.retrieval.products import bfloat16, score
from fashion.retrieval.products.precision import BFLOAT16, FLOAT32, INT8, fastest
from fashion.retrieval.products.threads import even_slices

TILE_ROWS = 2048  # of a tile: larger ones leave the cache, smaller ones are slow
WIDE_ROWS = 4096  # of a tile whose rows are looked at one by one
ROUNDED_ROWS = 1024  # that are rounded at a time: what that takes stays in the cache


class Float32:
    """Products of full float32 precision: the keys are the products."""

    lowest: np.float32 | np.int16 = np.float32(-np.inf)
    packed = 1  # keys in the room of a float32
    coarse = False  # whether a float32 product of a pair is much nearer to its score

    def __init__(
        self, queries_QD: np.ndarray, query_lengths: np.ndarray, vectors_ND: np.ndarray, longest: float, device: str | None
    ):  # fmt: skip
        """`device`: None for NumPy, or a torch device such as cpu or cuda."""
        self.errors = score.error_bound(queries_QD.shape[1], query_lengths, longest).astype(np.float32)
        self.buffers, self.device = _Buffers(np.float32), device
        self.multiply = _numpy(queries_QD, vectors_ND) if device is None else _torch(queries_QD, vectors_ND, device)

    def tile(self, rows: slice, columns: slice) -> np.ndarray:
        """(b, n) keys of rows of queries and of vectors, valid until the thread's next call."""
        out = self.buffers.get(rows.stop - rows.start, columns.stop - columns.start)
        self.multiply(rows, columns, out)
        return out

    def sort_keys(self, tile: np.ndarray, rows: np.ndarray) -> None:
        """Bring the keys of these rows of a tile into the order of the products, where bounds below zero need it."""

    def under(self, bounds: np.ndarray) -> np.ndarray:
        """Keys: what may be at least the bound, up to `errors`, has a greater one."""
        with np.errstate(over="ignore"):  # below the least number is minus infinity
            return np.nextafter(bounds, np.float32(-np.inf))

    def over(self, bounds: np.ndarray) -> np.ndarray:
        """Keys: what has a greater one is above the bound, up to `errors`."""
        return bounds

    def sorted(self, keys: np.ndarray) -> np.ndarray:
        """(N,) int64 from 0 to 2**32 - 1 in the order of the keys, and equal for equal ones."""
        bits = (keys + np.float32(0)).view(np.int32)  # no negative zero
        return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64) + (1 << 31)

    def values(self, keys: np.ndarray) -> np.ndarray:
        """(N,) float32 products."""
        return keys

    def rounding(self, values: np.ndarray) -> np.ndarray:
        """How much further than `errors` a value may be from the score."""
        return np.zeros(len(values), np.float32)


class Bfloat16(Float32):
    """Products of vectors rounded to bfloat16, themselves rounded so: the keys are their bits, read as int16."""

    lowest = np.int16(np.iinfo(np.int16).min)
    packed, coarse = 2, True

    def __init__(
        self, queries_QD: np.ndarray, query_lengths: np.ndarray, vectors_ND: np.ndarray, longest: float, device: str | None
    ):  # fmt: skip
        (x, x_lost), (y, y_lost) = _rounded(queries_QD), _rounded(vectors_ND)
        errors = bfloat16.error_bound(x.shape[1], query_lengths, x_lost, longest, float(y_lost.max(initial=0.0)))
        self.errors = errors.astype(np.float32)
        self.buffers, self.device = _Buffers(np.int16), device or "cpu"
        self.multiply = _torch(x, y, self.device)

    def sort_keys(self, tile: np.ndarray, rows: np.ndarray) -> None:
        if len(rows):
            tile[rows] = bfloat16.ordered(tile[rows])

    def under(self, bounds: np.ndarray) -> np.ndarray:
        return bfloat16.keys_under(bounds)

    def over(self, bounds: np.ndarray) -> np.ndarray:
        return bfloat16.keys_over(bounds)

    def sorted(self, keys: np.ndarray) -> np.ndarray:
        return keys.astype(np.int64) + (1 << 15)

    def values(self, keys: np.ndarray) -> np.ndarray:
        return bfloat16.floats(bfloat16.ordered(keys))

    def rounding(self, values: np.ndarray) -> np.ndarray:
        return bfloat16.half_step(values)


def products(
    queries_QD: np.ndarray, query_lengths: np.ndarray, vectors_ND: np.ndarray, longest: float, *,
    device: str | None = None, precision: str | None = None, gain: float = 1.3,
) -> Float32:  # fmt: skip
    """`query_lengths` (Q,) and `longest`, of the vectors: as `score.lengths` gives them.

    `precision`: float32 or bfloat16, which int8 means where no sieve is used; None for the one that this machine is faster
    with, bfloat16 where it multiplies at least `gain` times as fast. `device`: None for the library that is faster.
    """
    operations = 2.0 * len(queries_QD) * vectors_ND.size
    if precision is None:
        precision, device = fastest(operations, device, {FLOAT32: Float32, BFLOAT16: Bfloat16}, gain)
    overflows = query_lengths.max(initial=0.0) * longest > bfloat16.LARGEST
    kind = Bfloat16 if precision in (BFLOAT16, INT8) and not overflows else Float32
    return kind(queries_QD, query_lengths, vectors_ND, longest, device)


class _Buffers:
    """Memory for a thread's tiles: to ask for it anew each time costs a tenth of the product's time."""

    def __init__(self, dtype: type):
        self.dtype, self.held = dtype, threading.local()

    def get(self, b: int, n: int) -> np.ndarray:
        if getattr(self.held, "keys", np.empty(0)).size < b * n:
            self.held.keys = np.empty(b * n, self.dtype)
        return self.held.keys[: b * n].reshape(b, n)


Multiply = Callable[[slice, slice, np.ndarray], None]


def _rounded(x_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bits of `bfloat16.nearest`, five times as fast, and the (N,) lengths of what rounding took away."""
    import torch

    bits, lost = np.empty(x_ND.shape, np.int16), np.empty(len(x_ND))
    for rows in even_slices(len(x_ND), ROUNDED_ROWS):
        bits[rows] = torch.tensor(x_ND[rows]).bfloat16().view(torch.int16).numpy()
        lost[rows] = bfloat16.residuals(x_ND[rows], bits[rows])
    return bits, lost


def _numpy(queries_QD: np.ndarray, vectors_ND: np.ndarray) -> Multiply:
    def multiply(rows: slice, columns: slice, out: np.ndarray) -> None:
        # OpenBLAS now and then raises the flag over finite numbers, for what lies beside them.
        with np.errstate(invalid="ignore"):
            np.matmul(queries_QD[rows], vectors_ND[columns].T, out=out)

    return multiply


def _torch(queries_QD: np.ndarray, vectors_ND: np.ndarray, device: str) -> Multiply:
    """Of float32 numbers or of the bits of bfloat16."""
    import torch

    torch.set_float32_matmul_precision("highest")  # TF32 would be off by more than the error bound
    # Sums of parts in bfloat16 likewise.
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False

    def there(x: np.ndarray) -> torch.Tensor:
        moved = torch.from_numpy(x) if device == "cpu" and x.flags.writeable else torch.tensor(x, device=device)
        return moved.view(torch.bfloat16) if x.dtype == np.int16 else moved

    queries, vectors = there(queries_QD), there(vectors_ND)

    def multiply(rows: slice, columns: slice, out: np.ndarray) -> None:
        into = torch.from_numpy(out)
        into = into.view(torch.bfloat16) if out.dtype == np.int16 else into
        if device == "cpu":
            torch.mm(queries[rows], vectors[columns].T, out=into)
        else:
            into.copy_(queries[rows] @ vectors[columns].T)

    return multiply

"""The score of a pair, defined so that it depends on nothing but the pair, and how far fast products may be from it.

A float32 matrix product differs in its last bits with the shape, the place in the matrix, the library and the machine.
The score here is the inner product of two float32 vectors, rounded once to float64 and then to float32 (the cosine for
vectors of length 1). Fast products only choose which pairs are worth scoring so: they are never further off than
`error_bound`.
"""

import math
import sys
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from fashion.errors import InputError

CHUNK_BYTES = 1 << 19  # of float64 rows gathered at a time: stays in the cache
SAMPLED, SAMPLED_BYTES = (
    4096,
    1 << 26,
)  # pairs that pay for a sparse product, and the float64 rows that it takes at most
UNIT32, UNIT64 = 2.0**-24, 2.0**-53
LEAST = float(np.finfo(np.float32).tiny)


def lengths(x_ND: np.ndarray) -> np.ndarray:
    """(N,) float64 Euclidean lengths of float32 rows, a thousandth too long so that none is too short, whatever squares
    are too small for float32; infinite above 1.8e19, nan or infinite where a number is."""
    with np.errstate(over="ignore"):
        squares = np.einsum("nd,nd->n", x_ND, x_ND).astype(np.float64)
    return 1.001 * np.sqrt(squares + x_ND.shape[1] * LEAST)


def error_bound(dimension: int, query_lengths: np.ndarray, longest: float) -> np.ndarray:
    """How far a float32 product may be from the score, whatever the order of its D additions.

    The rounding errors of a sum of D products stay under D u / (1 - D u) |x| |y| with u = 2**-24 (Higham 2002, section
    3.1); a hundredth more and four roundings cover those of the score itself and of what is compared with it.
    """
    relative = (dimension + 4) * UNIT32
    return 1.01 * relative / (1 - relative) * query_lengths * longest + dimension * LEAST


def unit_rows(x_ND: np.ndarray) -> np.ndarray:
    """(N, D) float64 rows brought to unit length, as float32; every addition has its place, the same on any machine."""
    squares = np.add.reduce(np.ascontiguousarray((x_ND * x_ND).T), axis=0)  # row after row
    return (x_ND / np.maximum(np.sqrt(squares), 1e-12)[:, None]).astype(np.float32)


def exact_scores(x_AD: np.ndarray, y_BD: np.ndarray, a: np.ndarray, b: np.ndarray, scale: float) -> np.ndarray:
    """(N,) float32 scores of the pairs (x[a], y[b]) of float32 rows; `scale`: no |x||y| is above it."""
    D = x_AD.shape[1]
    scores = np.empty(len(a), np.float32)
    error = (D + 4) * UNIT64 * scale
    sampled = len(a) >= SAMPLED and "torch" in sys.modules and _sampled_here() and bool((a[1:] >= a[:-1]).all())
    step = max(1, (SAMPLED_BYTES if sampled else CHUNK_BYTES) // (8 * max(1, D)))
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        # Products of float32 are exact in float64: only the additions round.
        sums = (_sampled_sums if sampled else _sums)(x_AD, y_BD, a[rows], b[rows])
        rounded = (sums - error).astype(np.float32)
        for n in np.flatnonzero(rounded != (sums + error).astype(np.float32)):
            # In reach of the middle between two float32 values (about one pair in ten million): add without rounding.
            rounded[n] = math.fsum(x_AD[a[start + n]].astype(np.float64) * y_BD[b[start + n]])
        scores[rows] = rounded
    return scores + np.float32(0)  # no negative zero: equal scores have equal bits


def _sums(x_AD: np.ndarray, y_BD: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) float64 inner products of pairs."""
    return np.einsum("nd,nd->n", x_AD.take(a, 0).astype(np.float64), y_BD.take(b, 0).astype(np.float64))


def _sampled_sums(x_AD: np.ndarray, y_BD: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same for ascending `a` as the entries of a sparse matrix, where the products are: no row is copied for each of its
    pairs, a third of the time."""
    import torch

    first = int(a[0])
    x = torch.from_numpy(x_AD[first : int(a[-1]) + 1].astype(np.float64))
    used = np.zeros(len(y_BD), bool)
    used[b] = True
    y = torch.from_numpy(y_BD[used].astype(np.float64))
    if len(a) > len(x) * len(y):  # pairs that are asked for several times, which a sparse matrix has no room for
        return _sums(x_AD, y_BD, a, b)
    place = (np.cumsum(used) - 1)[b]
    starts = np.searchsorted(a, np.arange(first, first + len(x) + 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that sparse tensors are in beta
        entries = torch.sparse_csr_tensor(
            torch.from_numpy(starts), torch.from_numpy(place), torch.zeros(len(a), dtype=torch.float64),
            (len(x), len(y)), check_invariants=False,
        )  # fmt: skip
        return torch.sparse.sampled_addmm(entries, x, y.T, beta=0.0).values().numpy()


@cache
def _sampled_here() -> bool:
    """Whether this torch multiplies so on a CPU, two entries of a row in descending order as well."""
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    a, b = np.array([0, 1, 1]), np.array([1, 1, 0])
    try:
        return bool((_sampled_sums(x, x, a, b) == _sums(x, x, a, b)).all())
    except (RuntimeError, NotImplementedError):
        return False


def near_scores(x_AD: np.ndarray, y_BD: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) float32: the scores up to `error_bound`, in a third of the time."""
    scores = np.empty(len(a), np.float32)
    step = max(1, CHUNK_BYTES // (8 * max(1, x_AD.shape[1])))
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        np.einsum("nd,nd->n", x_AD.take(a[rows], 0), y_BD.take(b[rows], 0), out=scores[rows])
    return scores


def check_finite(x_ND: np.ndarray, side: str, names: Sequence | None = None) -> np.ndarray:
    """The same vectors. Raises InputError with the name (or else the row) of the first one that is not finite, or too long
    for its length to be a float32. `side`: what they are of, such as query."""
    bad = np.flatnonzero(~np.isfinite(lengths(x_ND)))
    if len(bad):
        row = int(bad[0])
        more = f", and of {len(bad) - 1:,} more" if len(bad) > 1 else ""
        raise InputError(
            f"{side} {_text(names[row]) if names is not None else f'in row {row}'}: its vector is not finite{more}; "
            "check the network, and embed again"
        )
    return x_ND


def _text(name: Any) -> str:
    """A name as it is shown; the id of a gallery's image is the image and its item."""
    return str(name.as_py() if hasattr(name, "as_py") else name).replace("\0", " of item ")

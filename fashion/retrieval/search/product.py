"""Fast inner products of tiles of queries and gallery: NumPy on a CPU, torch on another device."""

import threading
from collections.abc import Callable, Iterator

import numpy as np

QUERY_ROWS, TILE_ROWS = 1024, 1024  # of a tile of scores: 4 MB; larger ones leave the cache, smaller ones are slow
WIDE_ROWS = 4096  # of a tile whose rows are looked at one by one


def even_slices(total: int, longest: int) -> Iterator[slice]:
    """Neighbouring slices of nearly equal length that cover `total` rows."""
    count = -(-total // longest)
    for n in range(count):
        yield slice(n * total // count, (n + 1) * total // count)


def product(queries_QD: np.ndarray, vectors_ND: np.ndarray, device: str | None) -> Callable[[slice, slice], np.ndarray]:
    """Rows of queries and of vectors -> (b, n) float32 products, valid until the thread's next call.

    `device`: None for the CPU, or a torch device such as cuda. Products are of full float32 precision.
    """
    held = threading.local()  # memory that is asked for anew for each tile costs a tenth of the product's time

    def buffer(b: int, n: int) -> np.ndarray:
        if getattr(held, "scores", np.empty(0)).size < b * n:
            held.scores = np.empty(b * n, np.float32)
        return held.scores[: b * n].reshape(b, n)

    if device is None:

        def multiply(rows: slice, columns: slice) -> np.ndarray:
            x, y = queries_QD[rows], vectors_ND[columns]
            # OpenBLAS now and then raises the flag over finite numbers, for what lies beside them.
            with np.errstate(invalid="ignore"):
                return np.matmul(x, y.T, out=buffer(len(x), len(y)))

        return multiply

    import torch

    torch.set_float32_matmul_precision("highest")  # TF32 would be off by more than the error bound
    queries, vectors = (torch.tensor(x, device=device) for x in (queries_QD, vectors_ND))

    def multiply_there(rows: slice, columns: slice) -> np.ndarray:
        scores = queries[rows] @ vectors[columns].T
        out = buffer(*scores.shape)
        torch.from_numpy(out).copy_(scores)
        return out

    return multiply_there

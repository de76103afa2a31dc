"""In which precision, and with which library, this machine multiplies fastest: measured, once a process, and where there is
enough to multiply."""

import sys
import time
from functools import cache

import numpy as np

from fashion.retrieval.products.score import error_bound, lengths
from fashion.retrieval.products.threads import alone

FLOAT32, BFLOAT16, INT8 = "float32", "bfloat16", "int8"
ENOUGH = 1e11  # operations that a process does in float32 before it loads torch to ask: loading costs about as much
LOADED = 1e10  # the same where torch is loaded
SHAPE = (256, 2048, 128)  # queries, vectors, dimension
TURNS = 5

_done = {"operations": 0.0}


def fastest(operations: float, device: str | None, kinds: dict, gain: float) -> tuple[str, str | None]:
    """FLOAT32, or BFLOAT16 where it multiplies at least `gain` times as fast, for a product of so many operations, and the
    device for it; never costs more than twice what is best. `kinds`: of products, by precision; `device`: None where NumPy
    and torch are to choose from."""
    _done["operations"] += operations
    if _done["operations"] < (LOADED if "torch" in sys.modules else ENOUGH):
        return FLOAT32, device
    faster, library = _measured(device, kinds[FLOAT32], kinds[BFLOAT16])
    return (BFLOAT16, device) if faster >= gain else (FLOAT32, library)


def warm() -> bool:
    """Whether so much was multiplied that it is worth to measure."""
    return "torch" in sys.modules and _done["operations"] >= LOADED


@cache
def _measured(device: str | None, float32: type, bfloat16: type) -> tuple[float, str | None]:
    """By a small product in one thread: how many times as fast as float32 bfloat16 is, 0 if its sums are not of float32, as
    its error bound supposes; and the device that float32 is fastest on."""
    import torch  # noqa: F401  before its threads are counted

    rng = np.random.default_rng(0)
    Q, N, D = SHAPE
    x_QD, y_ND = rng.standard_normal((Q, D), dtype=np.float32), rng.standard_normal((N, D), dtype=np.float32)

    def seconds(kind: type, device: str | None) -> float:
        made = kind(x_QD, lengths(x_QD), y_ND, float(lengths(y_ND).max()), device)
        turns = []
        for _ in range(TURNS):
            began = time.perf_counter()
            made.tile(slice(0, Q), slice(0, N))
            turns.append(time.perf_counter() - began)
        return min(turns)

    with alone():
        own = {at: seconds(float32, at) for at in ([device] if device else [None, "cpu"])}
        faster = min(own.values()) / seconds(bfloat16, device)
    return faster if within_bound(bfloat16, device) else 0.0, min(own, key=lambda at: own[at])


def within_bound(kind: type, device: str | None, D: int = 2048) -> bool:
    """Whether long sums, of equal terms and of random ones, are as near to the score as is said of them."""
    rng = np.random.default_rng(1)
    x_ND = np.concatenate([np.ones((1, D), np.float32), rng.standard_normal((63, D), dtype=np.float32)])
    size, rows = lengths(x_ND), slice(0, len(x_ND))
    made = kind(x_ND, size, x_ND, float(size.max()), device)
    keys = made.tile(rows, rows).copy()
    made.sort_keys(keys, np.arange(len(keys)))
    values = made.values(keys.reshape(-1))
    allowed = np.repeat(made.errors + error_bound(D, size, float(size.max())), len(x_ND)) + made.rounding(values)
    return bool((np.abs(values - (x_ND.astype(np.float64) @ x_ND.T.astype(np.float64)).reshape(-1)) <= allowed).all())

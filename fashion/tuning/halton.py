"""Scrambled Halton sequences: few points already cover a range evenly. SciPy has them too (scipy.stats.qmc), but draws all
of a sequence from one state, and a trial's point is a function of its number alone."""

import math
from functools import lru_cache

from fashion.seeds import generator

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)


def even(number: int, base: int, seed: int, name: str) -> float:
    """Point `number` of a scrambled Halton sequence in `base`: in [0, 1), any `base` points that begin at a multiple of
    it lie one in each of `base` equal parts."""
    point, scale = 0.0, 1.0 / base
    for position in range(_digits(base)):
        number, digit = divmod(number, base)
        point += _scramble(base, position, seed, name)[digit] * scale
        scale /= base
    return point


def _digits(base: int) -> int:
    return int(32 * math.log(2) / math.log(base))


@lru_cache(maxsize=4096)
def _scramble(base: int, position: int, seed: int, name: str) -> tuple[int, ...]:
    return tuple(generator(seed, name, position).permutation(base).tolist())

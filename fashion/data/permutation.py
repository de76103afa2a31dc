"""A permutation of a range that is computed place by place: no list, however long the range."""

import numpy as np

from fashion.seeds import seed_of

ROUNDS = 6


class Permutation:
    """Of range(count), by a balanced Feistel network over the next even number of bits (Luby and Rackoff 1988); a number
    that comes out beyond the range is put in again until one is inside (Black and Rogaway 2002)."""

    def __init__(self, count: int, *seed: int | str):
        self.count = count
        self.half = np.uint64(max(1, (max(count - 1, 1).bit_length() + 1) // 2))
        self.mask = np.uint64((1 << int(self.half)) - 1)
        self.keys = [np.uint64(seed_of(*seed, "round", i)) for i in range(ROUNDS)]

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """Where each of the places (n,), int64, goes: int64."""
        assert not len(places) or (places.min() >= 0 and places.max() < self.count)
        values = self._once(places.astype(np.uint64))
        while (outside := values >= self.count).any():
            values[outside] = self._once(values[outside])
        return values.astype(np.int64)

    def _once(self, x: np.ndarray) -> np.ndarray:
        left, right = x >> self.half, x & self.mask
        for key in self.keys:
            left, right = right, left ^ (_mixed(right ^ key) & self.mask)
        return (left << self.half) | right


def _mixed(x: np.ndarray) -> np.ndarray:
    """SplitMix64's mixing of 64 bits (Steele, Lea and Flood 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

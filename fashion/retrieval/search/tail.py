"""Tail counts: how many keys of whole rows are above a few bounds each, where nearly all are."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

LANES = 128  # words added up before a byte could overflow
STEP = 8 * LANES  # entries
PAIRS = 64  # of bounds looked at together: one call for all, and their masks still in the cache
HELD = 1_000_000  # entries between bounds that are returned at a time


class TailCounts:
    """For each of some rows a few pairs of a low and a high bound."""

    def __init__(self, rows: np.ndarray, low: np.ndarray, high: np.ndarray):
        """`rows` (n,) ascending: the row that each pair of bounds is for. Entries above `low` are between or above."""
        bounds = np.stack([low, high], 1).reshape(-1, 1)
        self.above = np.zeros(len(rows), np.int64)  # entries above each high bound so far
        self.batches: list[tuple[int, int, list[tuple[int, slice, np.ndarray]]]] = []  # pairs, and their rows
        starts = np.flatnonzero(np.r_[len(rows) > 0, rows[1:] != rows[:-1]]).tolist()
        for a, b in pairwise([*starts, len(rows)]):
            if not self.batches or b - self.batches[-1][0] > PAIRS:
                self.batches.append((a, b, []))
            first, _, held = self.batches[-1]
            held.append((int(rows[a]), slice(2 * (a - first), 2 * (b - first)), bounds[2 * a : 2 * b]))
            self.batches[-1] = first, b, held

    def add(self, keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Count a (b, n) tile, and tell the entries between bounds: pairs of bounds, and the entries' columns."""
        width = keys.shape[1]
        most = max((b - a for a, b, _ in self.batches), default=0)
        mask = np.zeros((2 * most, -(-width // STEP) * STEP), bool)
        within, columns, held = [], [], 0
        for a, b, rows in self.batches:
            for row, place, bounds in rows:
                np.greater(keys[row], bounds, out=mask[place, :width])
            counts = _count(mask[: 2 * (b - a)]).reshape(-1, 2)
            self.above[a:b] += counts[:, 1]
            some = np.flatnonzero(counts[:, 0] > counts[:, 1])
            if len(some):
                entries = np.flatnonzero(mask[2 * some] ^ mask[2 * some + 1])
                which, column = np.divmod(entries, mask.shape[1])
                within.append(a + some[which])
                columns.append(column)
                held += len(column)
            if held > HELD:
                yield np.concatenate(within), np.concatenate(columns)
                within, columns, held = [], [], 0
        if within:
            yield np.concatenate(within), np.concatenate(columns)


def _count(mask_rn: np.ndarray) -> np.ndarray:
    """(r,) true entries of each row: bytes of 0 and 1 are added eight at a time, as words."""
    words = mask_rn.view(np.uint64).reshape(len(mask_rn), -1, LANES).sum(2)
    return words.view(np.uint8).sum(1, dtype=np.int64)

"""Tail counts: how many keys of whole rows are above a few bounds each, where nearly all are."""

from collections.abc import Iterator

import numpy as np

LANES = 128  # words added up before a byte could overflow
STEP = 8 * LANES  # entries
PAIRS = 32  # of bounds looked at together: one call for all, and their rows and masks still in the cache
HELD = 1_000_000  # entries between bounds that are returned at a time


class TailCounts:
    """For each of some rows a few pairs of a low and a high bound."""

    def __init__(self, rows: np.ndarray, low: np.ndarray, high: np.ndarray):
        """`rows` (n,): the row that each pair of bounds is for. Entries above `low` are between or above."""
        self.rows, self.low, self.high = rows, low[:, None], high[:, None]
        self.above = np.zeros(len(rows), np.int64)  # entries above each high bound so far

    def add(self, keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Count a (b, n) tile, and tell the entries between bounds: pairs of bounds, and the entries' columns."""
        width = keys.shape[1]
        low, high = np.zeros((2, min(PAIRS, len(self.rows)), -(-width // STEP) * STEP), bool)
        pairs, columns, waiting = [], [], 0
        for start in range(0, len(self.rows), PAIRS):
            some = slice(start, start + PAIRS)
            rows = keys.take(self.rows[some], 0)
            n = len(rows)
            np.greater(rows, self.low[some], out=low[:n, :width])
            np.greater(rows, self.high[some], out=high[:n, :width])
            self.above[some] += _count(high[:n])
            pair, column = true_entries(np.bitwise_xor(low[:n].view(np.uint64), high[:n].view(np.uint64)))
            if len(pair):
                pairs.append(start + pair)
                columns.append(column)
                waiting += len(pair)
            if waiting > HELD:
                yield np.concatenate(pairs), np.concatenate(columns)
                pairs, columns, waiting = [], [], 0
        if pairs:
            yield np.concatenate(pairs), np.concatenate(columns)


def true_entries(words_bw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column, in order, of the true entries of a mask, eight of which are a word: few words are not zero, and only
    these are looked into."""
    words = words_bw.reshape(-1)
    some = np.flatnonzero(words != 0)
    within = np.flatnonzero(words[some].view(bool))
    at = (some << 3)[within >> 3] + (within & 7)
    width = 8 * words_bw.shape[1]
    ends = np.searchsorted(at, np.arange(len(words_bw) + 1) * width)
    row = np.repeat(np.arange(len(words_bw)), np.diff(ends))
    return row, at - row * width


def _count(mask_rn: np.ndarray) -> np.ndarray:
    """(r,) true entries of each row: bytes of 0 and 1 are added eight at a time, as words."""
    words = mask_rn.view(np.uint64).reshape(len(mask_rn), -1, LANES).sum(2)
    return words.view(np.uint8).sum(1, dtype=np.int64)

"""Decoded pictures that a feed keeps: a small data set is decoded once a run, not once an epoch."""

from collections.abc import Callable, Hashable

import numpy as np


class DecodedPictures:
    """The pictures that were asked for first, up to `limit` bytes; the rest is decoded whenever it is asked for.

    Nothing is thrown out: an epoch asks for every picture about as often as for any other, so the share of the pictures
    that fits is the share of the decoding that is spared, whatever the order."""

    def __init__(self, limit: int):
        self.limit, self.bytes = limit, 0
        self._kept: dict[Hashable, np.ndarray] = {}

    def get(self, picture: Hashable, decode: Callable[[], np.ndarray]) -> np.ndarray:
        """What `decode` gives for this picture, now or before. Not to be written into."""
        if (pixels := self._kept.get(picture)) is not None:
            return pixels
        pixels = decode()
        if self.bytes + pixels.nbytes <= self.limit:
            self._kept[picture] = pixels
            self.bytes += pixels.nbytes
        return pixels

"""Seeds derived from names: the same on every machine, in every process, for ever."""

import hashlib
import struct

import numpy as np


def seed_of(*parts: int | str) -> int:
    """A 64-bit seed that depends on every part and on their order."""
    return int.from_bytes(hashlib.blake2b(_text(parts), digest_size=8).digest(), "little")


def generator(*parts: int | str) -> np.random.Generator:
    """A NumPy generator seeded by `seed_of(*parts)`."""
    return np.random.default_rng(seed_of(*parts))


def permutation(count: int, *parts: int | str) -> list[int]:
    """A permutation of range(count) that depends on the parts: a tenth of a generator's cost where it is short."""
    keys = struct.unpack(f"<{count}Q", hashlib.shake_256(_text(parts)).digest(8 * count))
    return sorted(range(count), key=keys.__getitem__)


def _text(parts: tuple[int | str, ...]) -> bytes:
    return "\x1f".join([("s" if isinstance(part, str) else "i") + str(part) for part in parts]).encode()

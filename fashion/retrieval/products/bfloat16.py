"""bfloat16, the upper half of a float32, as int16: rounding, order, and how far products of rounded vectors may be off."""

import numpy as np

from fashion.retrieval.products.score import LEAST, UNIT32, lengths

UNIT_SUM = 2.0**-22  # of an addition: four times float32's, for units that cut off instead of rounding
LARGEST = 2.0**120  # products of lengths above this might overflow where the score does not


def nearest(x: np.ndarray) -> np.ndarray:
    """int16 bits of the nearest bfloat16 of finite float32 numbers, of two equally near ones the even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).view(np.int16)


def floats(bits: np.ndarray) -> np.ndarray:
    """The numbers, as float32."""
    return (bits.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def ordered(bits: np.ndarray) -> np.ndarray:
    """int16 keys in the order of the numbers, -0 just below 0; of keys, the bits again."""
    return bits ^ ((bits >> 15) & 0x7FFF)


def keys_under(bounds: np.ndarray) -> np.ndarray:
    """A key for each float32 bound: what was at least the bound before it was rounded has a greater key.

    Rounding keeps order, so the bound's own rounding is where it begins; what a processor flushes to zero is 0 or -0.
    """
    first = ordered(nearest(bounds)).astype(np.int32)
    first = np.where((bounds >= 0) & (bounds < LEAST), np.minimum(first, -1), first)
    return (first - 1).astype(np.int16)


def keys_over(bounds: np.ndarray) -> np.ndarray:
    """A key for each float32 bound: what has a greater one was above the bound before it was rounded."""
    last = ordered(nearest(bounds))
    return np.where((bounds <= 0) & (bounds > -LEAST), np.maximum(last, 0), last).astype(np.int16)


def half_step(values: np.ndarray) -> np.ndarray:
    """How far a float32 number may have been from the bfloat16 that it was rounded to; below the smallest normal one 0."""
    return (values.view(np.uint32) & 0x7F800000).view(np.float32) * np.float32(2.0**-8)


def residuals(x_ND: np.ndarray, bits_ND: np.ndarray) -> np.ndarray:
    """(N,) float64 lengths of what rounding took away, none too short; the differences themselves are exact."""
    return lengths(x_ND - floats(bits_ND))


def error_bound(
    dimension: int, query_lengths: np.ndarray, query_residuals: np.ndarray, longest: float, longest_residual: float
) -> np.ndarray:
    """How far the product of rounded vectors may be from the score of the given ones, before it is itself rounded.

    Let a and b be x and y rounded, dx = x - a and dy = y - b. Then x.y - a.b = dx.y + a.dy, which by Cauchy-Schwarz is at
    most |dx||y| + |a||dy| with |a| <= |x| + |dx|. The lengths of dx and dy are measured: half of the worst case, 2**-8 of
    a length. The products of two bfloat16 are exact in float32 (8 + 8 bits), so only the D additions err, by at most
    D v / (1 - D v) |a||b| in any order (Higham 2002, section 3.1). v = 2**-22 leaves room for units that add several
    products at once and cut off what is below the greatest one's last bit: each term is then cut at most twice by 2**-23
    of the sum of all. Numbers below 2**-126 may be flushed to zero, given ones, products and sums alike; and four
    roundings of float32 are those of the score itself and of what is compared with it.
    """
    a, b = query_lengths + query_residuals, longest + longest_residual
    added = dimension * UNIT_SUM / (1 - dimension * UNIT_SUM) + 4 * UNIT32
    flushed = LEAST * (4 * dimension + np.sqrt(dimension) * (a + b))
    return 1.01 * (query_residuals * longest + a * longest_residual + added * a * b + flushed)

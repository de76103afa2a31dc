"""Annotated boxes against the picture they belong to. A box is x1, y1, x2, y2 in pixels, x2 and y2 exclusive."""

from collections.abc import Sequence

LEAST_SIDE = 8  # pixels; a picture or crop with a shorter side shows no garment

Box = tuple[int, int, int, int]


def usable_box(box: Sequence[float], width: int, height: int) -> Box | None:
    """The part of `box` that lies in a picture of `width` x `height` pixels, its corners put in order.

    None, which means the whole picture, where that part is empty or has a side under LEAST_SIDE pixels.
    """
    x1, x2 = sorted(min(max(round(x), 0), width) for x in box[0::2])
    y1, y2 = sorted(min(max(round(y), 0), height) for y in box[1::2])
    if min(x2 - x1, y2 - y1) < LEAST_SIDE:
        return None
    return x1, y1, x2, y2


def shown_part(box: Sequence[float] | None, width: int, height: int) -> Box:
    """The part of a picture that `decode` shows, where it is to be cut to `box`; None: the whole picture."""
    return (usable_box(box, width, height) if box is not None else None) or (0, 0, width, height)


def scale_box(box: Sequence[float], from_size: tuple[int, int], to_size: tuple[int, int]) -> Box:
    """`box` of a picture of `from_size` (width, height), in the same picture at `to_size`, rounded to whole pixels."""
    across, down = to_size[0] / from_size[0], to_size[1] / from_size[1]
    x1, y1, x2, y2 = box
    return round(x1 * across), round(y1 * down), round(x2 * across), round(y2 * down)


def central_part(part: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest part in the middle of `part` with the shape of `size` (height, width)."""
    x1, y1, x2, y2 = part
    unit = min((x2 - x1) / size[1], (y2 - y1) / size[0])
    left, top = max(x1, (x1 + x2 - size[1] * unit) / 2), max(y1, (y1 + y2 - size[0] * unit) / 2)
    return left, top, min(x2, left + size[1] * unit), min(y2, top + size[0] * unit)


def size_within(part: Box, size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the largest picture within `size` (height, width) that has the shape of `part`."""
    x1, y1, x2, y2 = part
    unit = min(size[1] / (x2 - x1), size[0] / (y2 - y1))
    return max(1, round((y2 - y1) * unit)), max(1, round((x2 - x1) * unit))

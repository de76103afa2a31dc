"""Tables as aligned text, for a terminal."""

from collections.abc import Sequence
from itertools import chain, repeat

GAP = "  "


def aligned(rows: Sequence[Sequence[str]], align: str = "<>", *, indent: str = "") -> str:
    """A line a row, as wide as its columns need; no newline at the end. `align`: < or > for each column, of which the last
    holds for all further ones."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = list(zip(chain(align, repeat(align[-1])), widths, strict=False))
    lines = (GAP.join(f"{cell:{side}{width}}" for cell, (side, width) in zip(row, sides, strict=True)) for row in rows)
    return "\n".join(indent + line.rstrip() for line in lines)

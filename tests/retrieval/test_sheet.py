"""The picture sheet: no text leaves its cell."""

import numpy as np
from PIL import Image, ImageFont

from fashion.retrieval.sheet import GAP, LINE, PICTURE, Cell, draw_sheet, shorten

LONG = "a customer's photo with a name that no sheet has room for, number 0001.jpg"


def test_a_long_text_keeps_its_ends_and_fits():
    font = ImageFont.load_default(12)
    short = shorten(LONG, font, PICTURE)
    assert font.getlength(short) <= PICTURE
    assert short.startswith("a customer") and short.endswith("01.jpg") and "..." in short
    assert shorten("id_00000001", font, PICTURE) == "id_00000001"


def test_pictures_and_text_stay_in_their_cells():
    picture = Image.new("RGB", (PICTURE, PICTURE), (0, 0, 255))
    cells = [Cell(picture=picture, title=LONG, note=LONG) for _ in range(3)]
    empty = Cell(picture=None, title="", note="")
    full = np.asarray(draw_sheet([(cells[0], cells), (cells[0], cells[:1])])).astype(int)
    none = np.asarray(draw_sheet([(empty, [empty] * 3), (empty, [empty])])).astype(int)
    differ = (full != none).any(2)
    lefts = [GAP, *(2 * GAP + (n + 1) * (PICTURE + GAP) for n in range(3))]
    inside = np.zeros_like(differ)
    for row, shown in enumerate((4, 2)):
        top = GAP + row * (PICTURE + 2 * LINE + 2 * GAP)
        for left in lefts[:shown]:
            inside[top : top + PICTURE + 2 * LINE + GAP, left : left + PICTURE + 1] = True
            assert (full[top : top + PICTURE, left : left + PICTURE] == (0, 0, 255)).all()
    assert differ.any() and not (differ & ~inside).any()

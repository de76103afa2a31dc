"""Whatever the pages print can be read, in the light and in the dark: a contrast of 4.5 as WCAG 2.2 counts it (1.4.3)."""

import re
from pathlib import Path

import numpy as np
import pytest

CSS = (Path(__file__).parents[2] / "fashion/retrieval/report/templates/report.css").read_text()
MATRIX_CELL = re.compile(
    r"\.matrix tbody td:not\(\.n\)\.(same|other) \{ background: color-mix\(in srgb, var\(--(\w+)\) "
    r"calc\(([\d.]+) \* var\(--share\)\), var\(--(\w+)\)\); color: var\(--(\w+)\); \}"
)


def themes() -> dict[str, dict[str, np.ndarray]]:
    """Theme -> the name of each colour -> (3,) its sRGB from 0 to 1."""
    light, dark = (
        {
            name: np.array([int((code * 2 if len(code) == 3 else code)[i : i + 2], 16) / 255 for i in (0, 2, 4)])
            for name, code in re.findall(r"--(\w+): #(\w{3,6});", block)
        }
        for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[:2]
    )
    return {"light": light, "dark": light | dark}


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """Of 1 to 21; the definition of WCAG's relative luminance."""
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (one, other)]
    low, high = sorted(float(c @ [0.2126, 0.7152, 0.0722]) for c in linear)
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_is_the_one_that_wcag_defines():
    black, white, grey = np.zeros(3), np.ones(3), np.full(3, 0x77 / 255)
    assert contrast(black, white) == pytest.approx(21)
    assert contrast(grey, white) == pytest.approx(4.48, abs=0.005)  # the well-known grey that just fails


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_category_matrix_can_be_read_at_every_share(theme):
    colours = themes()[theme]
    cells = MATRIX_CELL.findall(CSS)
    assert [kind for kind, *_ in cells] == ["same", "other"]
    for kind, colour, strength, ground, ink in cells:
        for share in np.linspace(0, 1, 101):
            part = float(strength) * share
            painted = part * colours[colour] + (1 - part) * colours[ground]
            assert contrast(colours[ink], painted) >= 4.5, (kind, share)
        full = float(strength) * colours[colour] + (1 - float(strength)) * colours[ground]
        assert contrast(full, colours[ground]) >= 1.5, "a share of all is to stand out"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_of_text_can_be_read_on_every_ground(theme):
    colours = themes()[theme]
    for ground in ("paper", "card"):
        for text in ("ink", "soft", "accent", "right", "wrong"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["paper"], colours["ink"]) >= 4.5  # the chosen category

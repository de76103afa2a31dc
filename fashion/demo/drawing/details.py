"""What is sewn onto a garment: collars, closures, pockets, trims and prints, in body units."""

import numpy as np
from numpy.typing import ArrayLike

from fashion.demo.drawing.canvas import RGB, Pen, shade, smooth
from fashion.demo.drawing.design import LOWER, Garment
from fashion.demo.drawing.motifs import motif
from fashion.demo.drawing.outlines import NECKS, WAIST, Outline, collar_height, neckline

_STITCH = (222, 178, 108)
_METAL = (196, 192, 186)


def front(pen: Pen, garment: Garment, outline: Outline) -> None:
    """Everything that only the front shows."""
    seam = _seam_colour(garment)
    if garment.clothes_type == LOWER:
        _waistband(pen, garment, seam)
    else:
        _closure(pen, garment, seam)
        _collar(pen, garment, seam)
    _pockets(pen, garment, seam)
    _trims(pen, garment, outline, seam)
    if garment.motif:
        y = 176.0 if garment.clothes_type != LOWER else 300.0
        main, accent = garment.colours[1], garment.colours[2]
        number = int(garment.random(12).integers(100))
        width = 62.0 if garment.pocket != "chest" else 50.0
        pen.paste(motif(garment.motif, main, accent, number), (0, y), width * garment.fit)


def edges(pen: Pen, garment: Garment, outline: Outline) -> None:
    """Cuffs and hems: what front and back share."""
    dark = shade(garment.colours[0], 0.6)
    second = garment.colours[1] if garment.trims & {"ringer", "cuffs"} else shade(garment.colours[0], 0.78)
    if garment.trims & {"ringer", "cuffs"} or garment.category in ("Hoodie", "Sweater", "Jacket"):
        depth = 9.0 if "cuffs" in garment.trims or garment.category in ("Hoodie", "Jacket", "Joggers") else 6.0
        for end, part in zip(outline.ends, outline.parts, strict=False):
            back = part.outline.mean(0) - end.mean(0)
            back = back / np.hypot(*back) * depth
            pen.polygon([end[0], end[1], end[1] + back, end[0] + back], second)
            pen.line([end[0] + back, end[1] + back], dark, 1.2)
        if garment.category in ("Hoodie", "Sweater", "Jacket"):
            (x1, y), (x2, _) = outline.landmarks[6:8]
            lower = smooth([(x1, y), (0, y + 5.5), (x2, y)])
            pen.polygon(np.concatenate([lower, lower[::-1] - (0, 9)]), second)
            pen.line(lower - (0, 9), dark, 1.2)


def hood(pen: Pen, garment: Garment) -> None:
    """The hood behind the head; drawn before the body of the garment."""
    ground = garment.colours[0]
    shape = smooth([(-40, 112), (-45, 88), (-34, 66), (0, 58), (34, 66), (45, 88), (40, 112)])
    pen.polygon(shape, shade(ground, 0.82))
    pen.line(shape, shade(ground, 0.55), 1.7)
    pen.ellipse((0, 92), (29, 24), shade(garment.colours[1], 0.7))


def _seam_colour(garment: Garment) -> RGB:
    """A colour that shows on this garment: for buttons and seams."""
    return shade(garment.colours[0], 0.5) if sum(garment.colours[0]) > 330 else shade(garment.colours[0], 2.2)


def _collar(pen: Pen, garment: Garment, seam: RGB) -> None:
    ground, second, third = garment.colours
    edge, top = neckline(garment), collar_height(garment)
    half, depth = NECKS[garment.neck]
    cloth = second if garment.pattern != "plain" or "ringer" in garment.trims else shade(ground, 1.3)
    if garment.neck in ("crew", "v", "scoop", "boat", "square", "halter", "strap"):
        pen.line(
            edge, cloth if "ringer" in garment.trims else shade(ground, 0.78), 5.0 if garment.neck != "strap" else 2.5
        )
    if garment.neck == "halter":
        pen.line([(-half, top), (-13, 80)], shade(ground, 0.8), 5)
        pen.line([(half, top), (13, 80)], shade(ground, 0.8), 5)
    for side in (-1, 1):
        if garment.neck == "collar":
            points: ArrayLike = [
                (side * half, top - 7),
                (0, top + depth - 1),
                (side * 16, top + depth + 20),
                (side * (half + 9), top + 7),
            ]
            _panel(pen, points, cloth, seam)
        elif garment.neck in ("round collar", "bow"):
            points = smooth(
                [
                    (side * half, top - 5),
                    (0, top + depth - 2),
                    (side * 8, top + 27),
                    (side * 27, top + 24),
                    (side * (half + 10), top + 6),
                ]
            )
            _panel(pen, points, cloth, seam)
        elif garment.neck == "lapel":
            tip = (0, top + depth)
            points = [
                (side * (half - 4), top - 6),
                tip,
                (side * 27, top + 40),
                (side * 22, top + 31),
                (side * 35, top + 25),
                (side * (half + 9), top + 2),
            ]
            _panel(pen, points, shade(ground, 0.9) if garment.pattern == "plain" else cloth, seam)
        elif garment.neck == "hood":
            pen.line([(side * 11, top + 16), (side * 12, top + 58)], (244, 240, 230), 2.2)
            pen.ellipse((side * 12, top + 60), 2.4, (244, 240, 230))
        elif garment.neck == "bib":
            pen.line([(side * 25, top + 3), (side * 37, 98)], shade(ground, 0.85), 9)
            pen.ellipse((side * 26, top + 8), 4.2, _METAL, seam, 1.0)
    if garment.neck == "turtle":
        _panel(
            pen,
            [(-20, top - 15), (20, top - 15), (23, top + 4), (0, top + 8), (-23, top + 4)],
            shade(ground, 0.85),
            seam,
        )
    if garment.neck == "bow":
        for side in (-1, 1):
            _panel(pen, [(0, top + 17), (side * 21, top + 7), (side * 21, top + 29)], third, shade(third, 0.6))
            pen.line([(0, top + 18), (side * 9, top + 48)], third, 5)
        pen.ellipse((0, top + 18), 5, shade(third, 0.8))


def _panel(pen: Pen, points: ArrayLike, fill: RGB, seam: RGB) -> None:
    points = np.asarray(points, dtype=np.float64)
    pen.polygon(points, fill)
    pen.line(np.concatenate([points, points[:1]]), seam, 1.3)


def _closure(pen: Pen, garment: Garment, seam: RGB) -> None:
    _, depth = NECKS[garment.neck]
    start = collar_height(garment) + depth
    end = WAIST if garment.category == "Jumpsuit" else garment.hem + 4
    if garment.closure == "zip":
        pen.line([(0, start), (0, end)], _METAL, 4.5)
        pen.dashes([(0, start), (0, end)], (110, 108, 106), 4.5, step=2.2)
        pen.polygon([(-3, start + 10), (3, start + 10), (2, start + 22), (-2, start + 22)], (120, 118, 114))
    elif garment.closure in ("buttons", "double"):
        pen.line([(0, start), (0, end)], seam, 1.4)
        columns = (-15.0, 15.0) if garment.closure == "double" else (0.0,)
        for y in np.arange(start + 14, min(end, 400) - 6, 34.0 if garment.category in ("Coat", "Jacket") else 23.0):
            for x in columns:
                radius = 4.6 if garment.category in ("Coat", "Jacket") else 3.2
                pen.ellipse((x, y), radius, garment.colours[2], shade(garment.colours[2], 0.5), 1.0)


def _waistband(pen: Pen, garment: Garment, seam: RGB) -> None:
    top = WAIST - 4
    stretch = garment.closure == "drawstring"
    band = garment.colours[1] if stretch and "cuffs" in garment.trims else shade(garment.colours[0], 0.82)
    _panel(pen, [(-49, top), (49, top), (50, top + 12), (-50, top + 12)], band, seam)
    if stretch:
        for x in np.arange(-44, 45, 8.0):
            pen.line([(x, top + 2), (x, top + 10)], shade(band, 0.75), 1.2)
        for side in (-1, 1):
            pen.line([(side * 3, top + 8), (side * 7, top + 38)], (246, 242, 232), 2.4)
    if garment.closure == "fly":
        pen.line(smooth([(10, top + 12), (10, top + 40), (0, top + 58)]), seam, 1.4)
        pen.line([(0, top + 12), (0, top + 86)], seam, 1.2)
        pen.ellipse((0, top + 6), 3.6, (200, 160, 90), shade((200, 160, 90), 0.6), 1.0)
        for x in (-30, 30):
            pen.line([(x, top - 1), (x, top + 13)], seam, 3)
    if garment.closure == "buttons":
        pen.line([(0, top + 12), (0, garment.hem + 6)], seam, 1.2)
        for y in np.arange(top + 24, garment.hem - 4, 20.0):
            pen.ellipse((0, y), 3.6, garment.colours[2], shade(garment.colours[2], 0.5), 1.0)


def _pockets(pen: Pen, garment: Garment, seam: RGB) -> None:
    ground = garment.colours[0]
    thread = _STITCH if garment.fabric == "denim" else seam
    cloth = garment.colours[1] if garment.trims & {"patches", "ringer"} else shade(ground, 0.88)
    for side in (-1, 1):
        if garment.pocket == "side" and garment.clothes_type != LOWER:
            y = 248.0 if garment.hem < 310 else 262.0
            y = min(y, garment.hem - 28)
            pen.line([(side * 40, y - 18), (side * 27, y + 10)], seam, 3.0)
        elif garment.pocket in ("side", "jeans") and garment.clothes_type == LOWER:
            pen.line(smooth([(side * 20, WAIST + 8), (side * 30, WAIST + 27), (side * 50, WAIST + 31)]), thread, 1.8)
        elif garment.pocket == "patch":
            x, y = side * 28, min(252.0, garment.hem - 38)
            _panel(
                pen,
                [(x - 15, y - 14), (x + 15, y - 14), (x + 15, y + 14), (x, y + 19), (x - 15, y + 14)],
                cloth,
                thread,
            )
        elif garment.pocket == "cargo":
            x, y = side * 46, min(360.0, garment.hem - 32)
            _panel(pen, [(x - 14, y - 18), (x + 14, y - 18), (x + 14, y + 20), (x - 14, y + 20)], cloth, seam)
            pen.line([(x - 14, y - 7), (x + 14, y - 7)], seam, 1.6)
        if garment.pocket == "two chest" or (garment.pocket == "chest" and side > 0):
            x = side * 26
            _panel(pen, [(x - 13, 146), (x + 13, 146), (x + 13, 170), (x, 176), (x - 13, 170)], cloth, thread)
            pen.line([(x - 13, 152), (x + 13, 152)], thread, 1.2)
    if garment.pocket == "kangaroo":
        low = garment.hem - 12
        _panel(
            pen,
            [(-26, low - 46), (26, low - 46), (43, low - 20), (43, low), (-43, low), (-43, low - 20)],
            shade(ground, 0.9),
            seam,
        )
    if garment.pocket == "bib":
        _panel(pen, [(-19, 158), (19, 158), (19, 186), (0, 194), (-19, 186)], cloth, thread)


def _trims(pen: Pen, garment: Garment, outline: Outline, seam: RGB) -> None:
    ground, second, third = garment.colours
    trims, hem = garment.trims, garment.hem
    ends = outline.landmarks[6:8]
    if "belt" in trims and garment.neck != "bib":
        half, y = (49.0, WAIST) if garment.clothes_type == LOWER else (49.0 * garment.fit, WAIST + 2)
        _panel(pen, [(-half, y - 5), (half, y - 5), (half + 1, y + 6), (-half - 1, y + 6)], third, shade(third, 0.6))
        pen.polygon([(-8, y - 8), (8, y - 8), (8, y + 9), (-8, y + 9)], (222, 188, 104))
        pen.polygon([(-4.5, y - 4), (4.5, y - 4), (4.5, y + 5), (-4.5, y + 5)], shade(third, 0.8))
    if "ruffle" in trims:
        for (x1, y), (x2, _) in [ends] if garment.clothes_type != LOWER or not outline.ends else outline.ends:
            for x in np.linspace(x1 + 4, x2 - 4, max(3, int(abs(x2 - x1) / 13))):
                pen.ellipse((x, y + 2), (8, 8), second, shade(second, 0.7), 1.0)
    if "tiers" in trims:
        for share in (0.36, 0.7):
            y = WAIST + share * (hem - WAIST)
            half = 46 + share * (abs(ends[1][0]) - 46) + 3
            for x in np.linspace(-half, half, 13):
                pen.line([(x, y), (x + x * 0.04, y + 13)], shade(ground, 0.68), 1.5)
            pen.line(smooth([(-half, y), (0, y + 5), (half, y)]), shade(ground, 0.6), 2.4)
    if "pleats" in trims:
        for x in np.linspace(-0.86, 0.86, 9):
            pen.line([(x * 46, WAIST + 10), (x * abs(ends[1][0]), hem + 4)], shade(ground, 0.62), 2.0)
    if "side stripe" in trims:
        for (outer, inner), part in zip(outline.ends, outline.parts, strict=False):
            side = 1 if part.origin[0] > 0 else -1
            foot = (inner if side > 0 else outer) - (side * 4.5, 0)
            pen.line(
                smooth([(side * 44, WAIST + 10), (side * (part.origin[0] * side + 26), part.origin[1]), foot]),
                second,
                6.5,
            )
    if "rolled" in trims:
        for a, b in outline.ends:
            turn_up = np.array([(-2, -13), (2, -13), (2, 2), (-2, 2)])
            _panel(pen, np.array([a, b, b, a]) + turn_up, shade(ground, 1.8), seam)
    if "ripped" in trims:
        for side in (-1, 1):
            for y in (338.0, 362.0)[: 1 + (side > 0)]:
                pen.ellipse((side * 36, y), (13, 5.5), (238, 232, 224), seam, 1.0)
                pen.line([(side * 36 - 11, y), (side * 36 + 11, y)], shade(ground, 0.8), 1.2)
    if "patches" in trims:
        for end, part in zip(outline.ends, outline.parts, strict=False):
            place = (part.outline.mean(0) + end.mean(0)) / 2 if part.kind == "leg" else part.outline.mean(0)
            pen.ellipse(place, (9, 12), third, shade(third, 0.6), 1.4)
    if "knot" in trims:
        x, y = ends[1][0] * 0.45, hem
        _panel(pen, [(x, y - 6), (x - 14, y + 16), (x - 3, y + 19)], ground, seam)
        _panel(pen, [(x, y - 6), (x + 15, y + 15), (x + 4, y + 19)], ground, seam)
        pen.ellipse((x, y - 3), (9, 8), shade(ground, 0.88), seam, 1.3)
    if "buttons" in trims and garment.closure == "none":
        for side in (-1, 1):
            for step in range(3):
                pen.ellipse((side * 44, 118 + 9 * step), 2.6, third, shade(third, 0.5), 0.8)

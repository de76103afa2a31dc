"""Who wears the garment: a cheerful figure behind it, and what comes before it (hair, a bag, a cat)."""

from dataclasses import dataclass

import numpy as np

from fashion.demo.drawing.canvas import RGB, Pen, ribbon, shade, smooth
from fashion.demo.drawing.design import LOWER, PALETTE, UPPER, Garment, pick
from fashion.demo.drawing.outlines import HIP, SHOULDER, WAIST, Pose, arm_line, leg_line

_SKINS: tuple[RGB, ...] = ((250, 220, 196), (238, 196, 160), (208, 156, 116), (160, 110, 78), (112, 76, 56))
_HAIRS: tuple[RGB, ...] = ((48, 38, 38), (96, 62, 42), (168, 110, 62), (226, 188, 112), (176, 74, 46), (196, 190, 188))
_STYLES = ("short", "long", "bun", "curls", "cap", "bob")
_CARRIED = ("none", "none", "tote", "cat", "cup", "phone", "scarf", "flowers")
_CLOTHES = (*PALETTE.values(), (250, 250, 248), (92, 98, 110), (196, 190, 178))


@dataclass(frozen=True, kw_only=True)
class Person:
    """How the wearer looks in one picture."""

    skin: RGB
    hair: RGB
    style: str
    carried: str
    other: RGB  # colour of the clothes that are not the item's
    skirt: bool
    pose: Pose


def person(rng: np.random.Generator, pose: Pose) -> Person:
    return Person(
        skin=pick(rng, _SKINS), hair=pick(rng, _HAIRS), style=pick(rng, _STYLES), carried=pick(rng, _CARRIED),
        other=pick(rng, _CLOTHES), skirt=bool(rng.random() < 0.2), pose=pose,
    )  # fmt: skip


def behind(pen: Pen, who: Person, garment: Garment) -> None:
    """Body, head and the other clothes, to be covered by the garment."""
    if who.style in ("long", "bob"):
        low = 150 if who.style == "long" else 92
        pen.polygon(smooth([(-29, 40), (-37, 70), (-36, low), (0, low + 6), (36, low), (37, 70), (29, 40)]), who.hair)
    for side in (-1, 1):
        leg = leg_line(side, who.pose, 492.0)
        pen.polygon(ribbon(leg, (25, 10)), shade(who.skin, 0.94))
        foot = leg[-1] + (side * 6, 8)
        pen.ellipse(foot, (17, 9), shade(who.other, 0.5))
        arm = arm_line(side, who.pose)
        pen.polygon(ribbon(arm, np.linspace(13, 7.5, len(arm))), who.skin)
        pen.ellipse(arm[-1], 9.5, who.skin)
    pen.polygon(
        [
            (-11, 66),
            (11, 66),
            (14, 96),
            (52, 104),
            (46, 150),
            (44, WAIST),
            (54, HIP),
            (56, 292),
            (-56, 292),
            (-54, HIP),
            (-44, WAIST),
            (-46, 150),
            (-52, 104),
            (-14, 96),
        ],
        who.skin,
    )
    pen.ellipse((0, 84), (10, 8), shade(who.skin, 0.88))
    if garment.clothes_type == LOWER:
        _top(pen, who)
    elif garment.clothes_type == UPPER:
        _bottom(pen, who)
    elif garment.neck in ("bib", "lapel"):
        _top(pen, who)
    _head(pen, who)


def before(pen: Pen, who: Person, garment: Garment) -> None:
    """What hides a piece of the garment."""
    if who.style == "long":
        for side in (-1, 1):
            lock = smooth([(side * 27, 62), (side * 35, 96), (side * 29, 136), (side * 33, 162)])
            pen.polygon(ribbon(lock, np.linspace(9, 5, len(lock))), who.hair)
    level = 180.0 if garment.clothes_type != LOWER else 268.0
    if who.carried == "tote":
        pen.line(smooth([(-40, 98), (0, level - 20), (48, level + 52)]), shade(who.other, 0.62), 5)
        _bag(pen, (58, level + 74), who.other)
    elif who.carried == "cat":
        _cat(pen, (24, level + 34), who.hair if who.hair != (48, 38, 38) else (60, 58, 66))
    elif who.carried == "cup":
        _hand(pen, who, (30, level), 1)
        pen.polygon([(20, level - 22), (42, level - 22), (38, level + 16), (24, level + 16)], (250, 248, 242))
        pen.polygon([(21, level - 10), (41, level - 10), (39, level + 6), (23, level + 6)], (150, 104, 72))
        pen.ellipse((31, level - 22), (12, 4), (110, 80, 62))
        for i in range(3):
            pen.ellipse((18, level - 8 + 8 * i), (6, 4.2), who.skin)
    elif who.carried == "phone":
        top = 62.0 if garment.clothes_type != LOWER else level - 50
        _hand(pen, who, (34, top + 64), 1)
        pen.polygon([(14, top), (46, top), (46, top + 62), (14, top + 62)], (44, 46, 54))
        pen.ellipse((23, top + 9), 4.6, (90, 96, 110), (20, 20, 24), 1)
        for i in range(3):
            pen.ellipse((13, top + 26 + 10 * i), (6, 4.6), who.skin)
    elif who.carried == "scarf" and garment.clothes_type != LOWER:
        pen.polygon(smooth([(-27, 86), (0, 104), (27, 86), (29, 102), (0, 124), (-29, 102), (-27, 86)]), who.other)
        end = smooth([(10, 104), (18, 150), (14, 196)])
        pen.polygon(ribbon(end, np.full(len(end), 10.0)), shade(who.other, 0.88))
    elif who.carried == "flowers":
        for i, (x, y) in enumerate(((-20, -24), (2, -34), (22, -22), (-6, -10), (14, -4))):
            pen.line([(-14 + x, level + y), (-8, level + 48)], (92, 146, 92), 3)
            for angle in np.radians(np.arange(0, 360, 72)):
                colour = ((244, 190, 90), (236, 140, 160), (250, 248, 240))[i % 3]
                pen.ellipse((-14 + x + 8 * np.cos(angle), level + y + 8 * np.sin(angle)), 6.5, colour)
            pen.ellipse((-14 + x, level + y), 5, (216, 150, 70))
        _hand(pen, who, (-8, level + 36), -1)


def hanger(pen: Pen, garment: Garment) -> None:
    """A hanger or a clip rail that the garment hangs on; drawn behind it."""
    wood, metal = (186, 138, 92), (150, 150, 154)
    if garment.clothes_type == LOWER:
        pen.line([(-56, WAIST - 14), (56, WAIST - 14)], wood, 6)
        for x in (-38, 38):
            pen.polygon([(x - 6, WAIST - 20), (x + 6, WAIST - 20), (x + 5, WAIST + 4), (x - 5, WAIST + 4)], metal)
        hook = WAIST - 16
    else:
        pen.line(smooth([(-52, SHOULDER + 2), (0, 86), (52, SHOULDER + 2)]), wood, 7)
        hook = 86.0
    pen.line(smooth([(0, hook), (0, hook - 14), (9, hook - 22), (2, hook - 32), (-8, hook - 26)]), metal, 3)


def _head(pen: Pen, who: Person) -> None:
    if who.style == "bun":
        pen.ellipse((0, 2), 13, who.hair)
    if who.style == "curls":
        for angle in np.radians(np.arange(150, 391, 24)):
            pen.ellipse((30 * np.cos(angle), 36 + 32 * np.sin(angle)), 13, who.hair)
    pen.ellipse((0, 42), (29, 33), who.hair)
    for side in (-1, 1):
        pen.ellipse((side * 27, 46), (5, 7), shade(who.skin, 0.93))
    pen.ellipse((0, 48), (25.5, 29), who.skin)
    fringe = smooth([(-27, 42), (-18, 18), (6, 12), (24, 24), (27, 42), (16, 31), (-6, 28), (-27, 42)])
    pen.polygon(fringe, who.hair)
    if who.style == "cap":
        pen.polygon(smooth([(-29, 32), (-24, 10), (0, 2), (24, 10), (29, 32)]), who.other)
        pen.polygon(smooth([(-30, 30), (0, 25), (44, 32), (42, 37), (0, 33), (-30, 34)]), shade(who.other, 0.75))
    ink = (58, 44, 44)
    for side in (-1, 1):
        pen.ellipse((side * 10, 49), (2.9, 3.7), ink)
        pen.line(smooth([(side * 6, 41), (side * 10, 39), (side * 14, 41)]), shade(who.hair, 0.8), 1.6)
        pen.ellipse((side * 16, 57), (4.6, 3.2), (234, 150, 140) if sum(who.skin) > 420 else (150, 84, 70))
    pen.line(smooth([(-8, 60), (0, 66), (8, 60)]), (172, 70, 70), 2.2)


def _top(pen: Pen, who: Person) -> None:
    for side in (-1, 1):
        arm = arm_line(side, who.pose, 0.3)
        pen.polygon(ribbon(arm, np.linspace(12, 19, len(arm))), shade(who.other, 0.9))
    pen.polygon(
        [(-22, 92), (0, 106), (22, 92), (58, 104), (49, 150), (48, 226), (-48, 226), (-49, 150), (-58, 104)], who.other
    )


def _bottom(pen: Pen, who: Person) -> None:
    if who.skirt:
        pen.polygon([(-46, WAIST), (46, WAIST), (82, 372), (0, 380), (-82, 372)], who.other)
        return
    for side in (-1, 1):
        leg = leg_line(side, who.pose, 480.0)
        pen.polygon(ribbon(leg, (30, 18)), shade(who.other, 1.0 if side > 0 else 0.92))
    pen.polygon([(-47, WAIST), (47, WAIST), (59, HIP + 8), (8, 312), (-8, 312), (-59, HIP + 8)], who.other)
    pen.line([(0, 250), (0, 312)], shade(who.other, 0.75), 1.6)


def _hand(pen: Pen, who: Person, at: tuple[float, float], side: int) -> None:
    """A forearm that comes from the side, with its hand at `at`."""
    x, y = at
    arm = np.array([(side * 76.0, y + 58), (x + side * 4, y)])
    pen.polygon(ribbon(arm, (13, 9)), shade(who.skin, 0.96))
    pen.ellipse(at, (12, 11), who.skin)


def _bag(pen: Pen, at: tuple[float, float], colour: RGB) -> None:
    x, y = at
    pen.polygon([(x - 27, y - 26), (x + 27, y - 26), (x + 31, y + 34), (x - 31, y + 34)], shade(colour, 0.8))
    pen.line([(x - 27, y - 18), (x + 27, y - 18)], shade(colour, 0.55), 2)
    pen.ellipse((x, y + 6), 9, shade(colour, 1.6))


def _cat(pen: Pen, at: tuple[float, float], fur: RGB) -> None:
    x, y = at
    pen.line(smooth([(x + 18, y + 40), (x + 46, y + 52), (x + 52, y + 24)]), shade(fur, 0.8), 8)
    pen.ellipse((x, y + 22), (27, 33), fur)
    pen.ellipse((x, y + 28), (14, 21), shade(fur, 1.7))
    for side in (-1, 1):
        pen.polygon([(x + side * 22, y - 8), (x + side * 20, y - 38), (x + side * 3, y - 22)], fur)
        pen.polygon([(x + side * 18, y - 14), (x + side * 17, y - 30), (x + side * 8, y - 21)], (236, 160, 160))
        pen.ellipse((x + side * 12, y + 50), (8, 6), shade(fur, 1.4))
    pen.ellipse((x, y - 7), (25, 20), fur)
    for side in (-1, 1):
        pen.ellipse((x + side * 10, y - 9), (3.6, 4.6), (250, 226, 120))
        pen.ellipse((x + side * 10, y - 9), (1.7, 4.0), (30, 28, 32))
        pen.line([(x + side * 8, y), (x + side * 28, y - 2)], (250, 250, 250), 0.9)
        pen.line([(x + side * 8, y + 2), (x + side * 27, y + 5)], (250, 250, 250), 0.9)
    pen.ellipse((x, y - 1), (3, 2.2), (226, 120, 124))

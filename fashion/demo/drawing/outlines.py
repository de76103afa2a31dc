"""The outlines of a garment on a posed body, in body units, with its landmarks."""

from dataclasses import dataclass

import numpy as np

from fashion.demo.drawing.canvas import mirrored, ribbon, smooth
from fashion.demo.drawing.design import FULL, LOWER, UPPER, Garment

SHOULDER, ARMPIT, WAIST, HIP, CROTCH = 106.0, 148.0, 212.0, 262.0, 298.0
_ARM = 74.0  # length of the upper arm, and of the forearm

# Half-width, depth and shape of the neckline.
NECKS: dict[str, tuple[float, float]] = {
    "crew": (23, 13), "v": (23, 46), "scoop": (29, 36), "boat": (40, 6), "square": (29, 30), "turtle": (18, 2),
    "collar": (20, 16), "round collar": (22, 12), "bow": (20, 12), "hood": (24, 20), "lapel": (21, 58),
    "strap": (33, 30), "halter": (17, 4), "bib": (30, 26),
}  # fmt: skip
NARROW = ("strap", "halter", "bib")


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Angles in degrees from straight down, outwards: upper arm and bend of the elbow, left and right; leg spread."""

    arms: tuple[float, float] = (24.0, 24.0)
    elbows: tuple[float, float] = (4.0, 4.0)
    legs: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Part:
    """A piece of cloth: outline (N, 2), and the origin and angle (radians) of its weave."""

    outline: np.ndarray
    origin: tuple[float, float] = (0.0, 0.0)
    angle: float = 0.0
    kind: str = "body"  # or "sleeve", "leg", "band"


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The parts in drawing order, and the 8 landmark slots (8, 2), NaN where the clothes type has none."""

    parts: tuple[Part, ...]
    landmarks: np.ndarray
    ends: tuple[np.ndarray, ...] = ()  # for each sleeve or leg, its two corners at the open end (2, 2)


def arm_line(side: int, pose: Pose, share: float = 1.0) -> np.ndarray:
    """The middle line (N, 2) of the left (side -1) or right (+1) arm from the shoulder, `share` of its length."""
    which = 0 if side < 0 else 1
    upper = np.radians(pose.arms[which])
    fore = upper + np.radians(pose.elbows[which])
    shoulder = np.array([side * 51.0, SHOULDER + 6])
    elbow = shoulder + _ARM * np.array([side * np.sin(upper), np.cos(upper)])
    wrist = elbow + _ARM * np.array([side * np.sin(fore), np.cos(fore)])
    t = np.linspace(0, 2 * share, 12)
    return np.stack([np.interp(t, (0, 1, 2), (shoulder[i], elbow[i], wrist[i])) for i in (0, 1)], axis=1)


def leg_line(side: int, pose: Pose, hem: float) -> np.ndarray:
    """The middle line (2, 2) of a leg from the hip joint down to y = `hem`."""
    slope = np.tan(np.radians(pose.legs))
    return np.array([[side * 31.0, HIP + 6], [side * (31.0 + slope * (hem - HIP)), hem]])


def outline(garment: Garment, pose: Pose) -> Outline:
    """The garment on a body in `pose`; every design has one."""
    if garment.clothes_type == LOWER:
        return _skirt(garment) if garment.category == "Skirt" else _trousers(garment, pose)
    half, top, armhole = NECKS[garment.neck][0], collar_height(garment), _armhole(garment)
    sleeves = [_sleeve(garment, side, pose) for side in (-1, 1)] if garment.sleeve > 0 else []
    marks = np.full((8, 2), np.nan)
    marks[0:2] = (-half, top), (half, top)
    marks[2:4] = [end.mean(0) for _, end in sleeves] if sleeves else [(-armhole, ARMPIT), (armhole, ARMPIT)]
    if garment.clothes_type == FULL:
        marks[4:6] = (-51 * garment.fit, WAIST), (51 * garment.fit, WAIST)
    if garment.category == "Jumpsuit":
        legs = _trousers(garment, pose)
        marks[6:8] = legs.landmarks[6:]
        parts = (*legs.parts, Part(outline=_torso(garment, WAIST + 8, 50.0)))
        return Outline(parts=parts, landmarks=marks, ends=legs.ends)
    edge = _hem_width(garment)
    marks[6:8] = (-edge, garment.hem), (edge, garment.hem)
    parts = (*(part for part, _ in sleeves), Part(outline=_torso(garment, garment.hem, edge)))
    return Outline(parts=parts, landmarks=marks, ends=tuple(end for _, end in sleeves))


def collar_height(garment: Garment) -> float:
    """y of the garment's highest points beside the neck."""
    return {"bib": 128.0, "halter": 96.0, "strap": 100.0, "boat": 97.0, "turtle": 90.0}.get(garment.neck, 93.0)


def neckline(garment: Garment) -> np.ndarray:
    """The edge of the front neckline from left to right, (N, 2)."""
    half, depth = NECKS[garment.neck]
    top = collar_height(garment)
    if garment.neck in ("v", "lapel"):
        return np.array(
            [
                (-half, top),
                (-half * 0.35, top + depth * 0.7),
                (0, top + depth),
                (half * 0.35, top + depth * 0.7),
                (half, top),
            ]
        )
    if garment.neck in ("square", "bib"):
        return np.array(
            [
                (-half, top),
                (-half * 0.92, top + depth * 0.98 * (garment.neck != "bib")),
                (half * 0.92, top + depth * 0.98 * (garment.neck != "bib")),
                (half, top),
            ]
        )
    return smooth(
        [
            (-half, top),
            (-half * 0.72, top + depth * 0.75),
            (0, top + depth),
            (half * 0.72, top + depth * 0.75),
            (half, top),
        ],
        4,
    )


def _armhole(garment: Garment) -> float:
    return 50.0 * garment.fit


def _hem_width(garment: Garment) -> float:
    """Half of it."""
    if garment.clothes_type == UPPER:
        return 47.0 * garment.fit + garment.flare + (6 if garment.hem > 250 else 1)
    spread = 14 if garment.category == "Coat" else 26
    return 46.0 * garment.fit + 12 + spread * min((garment.hem - WAIST) / 230.0, 1) + garment.flare


def _torso(garment: Garment, hem: float, edge: float) -> np.ndarray:
    """The body down to y = `hem`, where it is `edge` units wide to each side."""
    fit, top = garment.fit, collar_height(garment)
    half, _ = NECKS[garment.neck]
    armhole = _armhole(garment)
    if garment.neck in NARROW:
        strap = 9.0 if garment.neck == "strap" else 3.0
        shoulder = [(half + strap, top), (half + strap, top + 16), (armhole - 5, ARMPIT - 10)]
    elif garment.sleeve > 0:
        shoulder = [(57.0 + 4 * (fit - 1), SHOULDER + 1), (armhole + 3, ARMPIT - 12)]
    else:
        shoulder = [(max(48.0, half + 9), SHOULDER - 8), (max(44.0, half + 5), SHOULDER + 16)]
    waist = 46.0 * fit + (6.0 if garment.category == "Coat" else 1.0)
    lower = [(waist + 0.62 * (edge - waist), WAIST + 0.45 * (hem - WAIST))] if hem > 310 else []
    side = smooth([(armhole, ARMPIT), (waist, WAIST if hem > 310 else WAIST - 8), *lower, (edge, hem)])
    right = np.concatenate([np.array([(half, top), *shoulder], dtype=np.float64), side])
    dip = [(edge * 0.5, hem + 4.0), (0.0, hem + 5.5)]
    return np.concatenate([neckline(garment), right[1:], dip, mirrored(dip[:1]), mirrored(right[1:])])


def _sleeve(garment: Garment, side: int, pose: Pose) -> tuple[Part, np.ndarray]:
    line = arm_line(side, pose, garment.sleeve)
    t = np.linspace(0, garment.sleeve, len(line))
    width = np.interp(t, (0, 0.07, 0.25, 1), (9.0, 20.0, 20.5, 13.5)) * (0.75 + 0.25 * garment.fit)
    if "puff" in garment.trims:
        width = width + 11 * np.sin(np.pi * np.linspace(0, 1, len(line)) ** 0.8)
    if "bell" in garment.trims:
        width = width + 16 * np.linspace(0, 1, len(line)) ** 3
    band = ribbon(line, width)
    direction = line[-1] - line[0]
    angle = float(np.arctan2(-direction[0], direction[1]))
    part = Part(outline=band, origin=tuple(line[0]), angle=angle, kind="sleeve")
    return part, band[[len(line) - 1, len(line)]]


def _skirt(garment: Garment) -> Outline:
    hem, edge = garment.hem, 60.0 + garment.flare
    top, hip = (47.0, WAIST - 4), (47.0 + 0.45 * (edge - 47.0) + 5, WAIST + 0.42 * (hem - WAIST))
    right = smooth([top, hip, (edge, hem)])
    dip = [(edge * 0.5, hem + 6.0), (0.0, hem + 8.0)]
    shape = np.concatenate([right, dip, mirrored(dip[:1]), mirrored(right)])
    marks = np.full((8, 2), np.nan)
    marks[4:8] = (-47.0, WAIST - 4), (47.0, WAIST - 4), (-edge, hem), (edge, hem)
    return Outline(parts=(Part(outline=shape),), landmarks=marks)


def _trousers(garment: Garment, pose: Pose) -> Outline:
    parts, ends = [], []
    for side in (-1, 1):
        (x0, y0), (x1, y1) = leg_line(side, pose, garment.hem)
        reach = (garment.hem - HIP) / 230.0
        thigh, end = 29.0 * garment.fit, (29.0 - 14.0 * min(reach, 1)) * garment.fit + garment.flare
        waist, top = 48.0, WAIST - 4
        outer = smooth([(side * waist, top), (x0 + side * (thigh + 3), y0 - 6), (x1 + side * end, y1)])
        near = min(end, abs(x1) - 4)  # the legs do not cross
        inner = smooth([(x1 - side * near, y1), (x0 - side * (thigh - 1), CROTCH + 10), (0.0, CROTCH)], 4)
        parts.append(Part(outline=np.concatenate([outer, inner, [(0.0, top)]]), origin=(x0, y0), kind="leg"))
        ends.append(np.array([(x1 - (near if side > 0 else end), y1), (x1 + (end if side > 0 else near), y1)]))
    marks = np.full((8, 2), np.nan)
    marks[4:6] = (-48.0, WAIST - 4), (48.0, WAIST - 4)
    marks[6:8] = ends[0][0], ends[1][1]
    return Outline(parts=tuple(parts), landmarks=marks, ends=tuple(ends))

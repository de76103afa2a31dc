"""The photos of an item: the shop's and its customers', each with box and landmarks."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from fashion.demo.drawing import camera, people, scenes
from fashion.demo.drawing.attributes import attributes
from fashion.demo.drawing.canvas import RGB, Frame, Pen
from fashion.demo.drawing.design import LOWER, UPPER, Garment, pick
from fashion.demo.drawing.garments import Sprite, draw
from fashion.demo.drawing.outlines import Pose
from fashion.domain import CUT_OFF, OCCLUDED, UNUSED, VISIBLE

VIEWS = {"front": 1, "side": 2, "back": 3, "full": 4, "additional": 6}  # with DeepFashion's pose_type
_SIZES = ((200, 266), (225, 300), (240, 300), (300, 300), (210, 280))
# The generators of an item's decisions (see Garment.random): how many photos, and what is in each.
_SHOP_COUNT, _CONSUMER_COUNT, _SHOP, _CONSUMER = 1, 2, 3, 4


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One photo. `box` is x1, y1, x2, y2 (corner pixels) of what would be seen of the garment with nothing before it;
    `landmarks` (8, 3) are visibility (0 visible, 1 occluded, 2 cut off, -1 no such slot), x, y in pixels, x and y 0
    where cut off; `pose` is DeepFashion's pose_type; `quality` is what to save the JPEG with."""

    image: Image.Image
    domain: str
    pose: int
    box: tuple[int, int, int, int]
    landmarks: np.ndarray
    category: str
    clothes_type: int
    attributes: tuple[str, ...]
    quality: int


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """What stands before the camera, all in the pixels of one frame: RGBA, the garment's part of it (L), what is before
    the garment (RGBA), and the landmarks (8, 2), NaN where the clothes type has none."""

    image: Image.Image
    garment: Image.Image
    before: Image.Image | None
    landmarks: np.ndarray

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        return _bounds(self.garment)


def shop_pictures(garment: Garment) -> list[Picture]:
    """One or two clean photos on a studio's ground; the second differs a little (distance, folds, hanger)."""
    count = 1 + int(garment.random(_SHOP_COUNT).random() < 0.45)
    return [shop_picture(garment, shot) for shot in range(count)]


def consumer_pictures(garment: Garment) -> list[Picture]:
    """Two to four photos by customers."""
    count = 2 + int(garment.random(_CONSUMER_COUNT).integers(3))
    return [consumer_picture(garment, shot) for shot in range(count)]


def shop_picture(garment: Garment, shot: int, view: str = "front") -> Picture:
    """The shop's photo number `shot`; `view` is one of VIEWS (in-shop's poses)."""
    rng = garment.random(_SHOP, shot)
    size, frame = pick(rng, _SIZES), _frame(garment, 1.0)
    arms = float(rng.uniform(18, 27))
    pose = Pose(arms=(arms, arms), elbows=(5, 5))
    sprite = draw(garment, pose, frame, worn=False, back=view == "back", folds=1 + shot)
    under = None
    if view == "additional" or rng.random() < 0.25:
        under = Pen(frame)
        people.hanger(under, garment)
    figure = _figure(frame, under, sprite, None)
    fill = (0.5, 0.62) if view == "full" else (0.74, 0.9)
    matrix = camera.aim(figure.bounds, size, rng, fill=fill, tilt=1.5, keystone=0.01, shift=0.02)
    if view == "side":
        matrix = camera.turned_away(size) @ matrix
    scene = scenes.studio(rng, size)
    return _take(garment, figure, scene, matrix, domain="shop", view=view, shadow=((176, 176, 182), 0.5), quality=92)


def consumer_picture(garment: Garment, shot: int) -> Picture:
    """The customers' photo number `shot`: worn, on a hanger or laid down, in a place that has nothing to do with it."""
    rng = garment.random(_CONSUMER, shot)
    size, frame = pick(rng, _SIZES), _frame(garment, 0.9)
    way = rng.choice(("worn", "hanging", "lying"), p=(0.62, 0.16, 0.22))
    pose = Pose(arms=tuple(rng.uniform(10, 40, 2)), elbows=tuple(rng.uniform(-8, 18, 2)), legs=float(rng.uniform(0, 6)))
    sprite = draw(garment, pose, frame, worn=way == "worn", folds=11 + shot)
    under = over = shadow = None
    if way == "worn":
        who, under, over = people.person(rng, pose), Pen(frame), Pen(frame)
        people.behind(under, who, garment)
        people.before(over, who, garment)
        scene, tilt = scenes.standing(rng, size), 9.0
    else:
        shadow = ((40, 36, 40), 0.4)
        if way == "hanging":
            under = Pen(frame)
            people.hanger(under, garment)
            scene, tilt = scenes.hanging(rng, size), 7.0
        else:
            scene, tilt = scenes.lying(rng, size), 28.0
    figure = _figure(frame, under, sprite, over)
    fill = (0.55, 0.86) if rng.random() < 0.8 else (0.86, 1.15)
    matrix = camera.aim(figure.bounds, size, rng, fill=fill, tilt=tilt, keystone=0.07, shift=0.07)
    quality = int(rng.integers(55, 92))
    return _take(garment, figure, scene, matrix, domain="consumer", shadow=shadow, quality=quality, customer=rng)


def _frame(garment: Garment, sharpness: float) -> Frame:
    """Room for the whole figure; at `sharpness` 1, the garment is about as large as it will be in the photo."""
    scale = sharpness * {UPPER: 1.05, LOWER: 0.85}.get(garment.clothes_type, 0.75)
    return Frame(left=-172, top=-20, scale=scale, width=round(344 * scale), height=round(550 * scale))


def _figure(frame: Frame, under: Pen | None, sprite: Sprite, over: Pen | None) -> _Figure:
    size, corner = (frame.width, frame.height), frame.offset(sprite.frame)
    image = under.image() if under else Image.new("RGBA", size)
    image.alpha_composite(sprite.image, corner)
    covered = Image.new("L", size)
    covered.paste(sprite.image.getchannel("A"), corner)
    before = over.image() if over else None
    if before:
        image.alpha_composite(before)
    marks = frame.pixels(sprite.outline.landmarks)
    return _Figure(image=image, garment=covered, before=before, landmarks=marks)


def _take(
    garment: Garment, figure: _Figure, scene: Image.Image, matrix: np.ndarray, *, domain: str, quality: int,
    view: str = "front", shadow: tuple[RGB, float] | None = None, customer: np.random.Generator | None = None,
) -> Picture:  # fmt: skip
    """The figure before the scene, seen through `matrix`, with its shadow (colour, strength) on what is right behind;
    `customer` is the generator of what a customer's phone does to the photo."""
    seen = camera.warp(figure.garment, matrix, scene.size)
    if shadow:
        colour, strength = shadow
        soft = seen.filter(ImageFilter.BoxBlur(6)).point(lambda level: int(level * strength))
        scene.paste(colour, (4, 6), soft)
    camera.lay(figure.image, matrix, scene)
    left, top, right, bottom = _bounds(seen)
    return Picture(
        image=camera.expose(scene, customer) if customer else scene, domain=domain, pose=VIEWS[view],
        box=(left, top, right - 1, bottom - 1), landmarks=_landmarks(figure, matrix, scene.size),
        category=garment.category, clothes_type=garment.clothes_type, attributes=attributes(garment), quality=quality,
    )  # fmt: skip


def _bounds(covered: Image.Image) -> tuple[int, int, int, int]:
    box = covered.point(lambda level: 255 * (level > 127)).getbbox()
    assert box  # something is drawn
    return box


def _opaque(picture: Image.Image, x: int, y: int) -> bool:
    pixel = picture.getpixel((x, y))
    assert isinstance(pixel, tuple)  # RGBA
    return pixel[3] > 127


def _landmarks(figure: _Figure, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(8, 3) of visibility, x, y in the picture of `size`."""
    marks = np.zeros((8, 3))
    marks[:, 0] = UNUSED
    for slot in np.flatnonzero(~np.isnan(figure.landmarks[:, 0])):
        point = figure.landmarks[slot]
        x, y = camera.project(matrix, point[None])[0]
        if not (0 <= x < size[0] and 0 <= y < size[1]):
            marks[slot] = CUT_OFF, 0, 0
            continue
        hidden = figure.before is not None and _opaque(figure.before, int(point[0]), int(point[1]))
        marks[slot] = (OCCLUDED if hidden else VISIBLE), x, y
    return marks

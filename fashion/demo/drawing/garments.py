"""A garment as a picture: cloth on its outline, folds and light, and what is sewn on."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from fashion.demo.drawing import details
from fashion.demo.drawing.canvas import Frame, Pen, mask, seam_mask, shade
from fashion.demo.drawing.design import Garment
from fashion.demo.drawing.outlines import NARROW, Outline, Part, Pose, neckline, outline
from fashion.demo.drawing.patterns import paint


@dataclass(frozen=True, kw_only=True)
class Sprite:
    """A drawn garment: RGBA picture, the frame that it fills, its outline and landmarks."""

    image: Image.Image
    frame: Frame
    outline: Outline


def draw(garment: Garment, pose: Pose, frame: Frame, *, worn: bool, back: bool = False, folds: int = 1) -> Sprite:
    """The garment in `pose`, drawn in its part of `frame`. Unless `worn`, one looks into the neck opening; `back`
    leaves out what the front alone has; `folds` numbers the way that the cloth happens to fall."""
    shape = outline(garment, pose)
    points = np.concatenate([part.outline for part in shape.parts])
    if garment.neck in ("hood", *NARROW):
        points = np.concatenate([points, [(0, 58), (-40, 98), (40, 98)]])
    inner = frame.around(points, 20.0)
    sheet = Image.new("RGBA", (inner.width, inner.height))
    _behind(sheet, garment, inner, worn=worn, back=back)
    plain = second_cloth(garment) if "raglan" in garment.trims else None
    for part in shape.parts:
        cloth = plain if plain is not None and part.kind == "sleeve" else garment
        picture, corner = _cloth(cloth, part, inner)
        sheet.alpha_composite(picture, corner)
    pen = Pen(inner)
    details.edges(pen, garment, shape)
    if not back:
        details.front(pen, garment, shape)
    sheet.alpha_composite(pen.image())
    return Sprite(image=_lit(sheet, garment, inner, folds), frame=inner, outline=shape)


def second_cloth(garment: Garment) -> Garment:
    """The garment's second cloth: plain, in its second colour."""
    first, second, third = garment.colour_names
    return replace(garment, pattern="plain", colour_names=(second, first, third))


def _behind(sheet: Image.Image, garment: Garment, inner: Frame, *, worn: bool, back: bool) -> None:
    pen = Pen(inner)
    if garment.neck == "hood":
        details.hood(pen, garment)
    elif garment.neck and garment.neck not in NARROW and (back or not worn):
        # The inside of the back, seen through the opening; seen from behind, the back itself, which is cut higher.
        edge = neckline(garment)
        colour = garment.colours[0] if back else shade(garment.colours[0], 0.6)
        pen.polygon(
            np.concatenate([edge, [(edge[-1, 0] * 0.6, edge[-1, 1] - 4), (edge[0, 0] * 0.6, edge[0, 1] - 4)]]), colour
        )
    else:
        return
    sheet.alpha_composite(pen.image())


def _cloth(garment: Garment, part: Part, inner: Frame) -> tuple[Image.Image, tuple[int, int]]:
    """One part with its seam as RGBA, and its place in `inner`; darker towards its edges as if it were round."""
    frame = inner.around(part.outline, 4.0)
    alpha = mask(frame, part.outline)
    x, y = frame.coordinates()
    if part.angle:
        cos, sin = np.float32(np.cos(part.angle)), np.float32(np.sin(part.angle))
        dx, dy = x - np.float32(part.origin[0]), y - np.float32(part.origin[1])
        x, y = dx * cos + dy * sin, dy * cos - dx * sin + np.float32(part.origin[1])
    inside = np.asarray(alpha.filter(ImageFilter.BoxBlur(9 * frame.scale)), dtype=np.float32) / 255
    light = (0.62 + 0.44 * inside) * _weave(garment.fabric, x, y)
    colour = paint(garment, x, y) * light[..., None]
    picture = Image.fromarray(np.clip(colour, 0, 255).astype(np.uint8))
    seam = seam_mask(frame, part.outline, 1.7)
    picture.paste(shade(garment.colours[0], 0.55), (0, 0), seam)
    picture.putalpha(ImageChops.lighter(alpha, seam))
    return picture, inner.offset(frame)


def _weave(fabric: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Brightness of the fabric at every place, about 1: (H, W)."""
    one = np.float32(1)
    if fabric == "knit":
        return one + 0.09 * np.sin(y * 1.9 + 1.2 * np.abs((x * 0.45) % 2 - 1))
    if fabric == "cable knit":
        return one + 0.13 * np.sin(x * 0.42) + 0.07 * np.sin(y * 0.8 + 2.2 * np.sin(x * 0.42))
    if fabric == "denim":
        return one + 0.06 * np.sin((x + y) * 2.3) + 0.05 * np.cos(x * 0.05)
    if fabric == "corduroy":
        return one + 0.12 * np.sin(x * 1.15) + 0 * y
    if fabric in ("leather", "silk"):
        return one + (0.2 if fabric == "leather" else 0.12) * np.sin(x * 0.09 + y * 0.05 + 0.9 * np.sin(y * 0.06))
    if fabric in ("wool", "linen"):
        return one + 0.05 * np.sin(x * 2.1 + np.sin(y * 1.3)) * np.sin(y * 2.4)
    return one + 0 * x + 0 * y


def _lit(sheet: Image.Image, garment: Garment, frame: Frame, folds: int) -> Image.Image:
    """Soft creases over cloth and details; they vary slowly, so a quarter of the resolution is enough for them."""
    rng = garment.random(13, folds)
    x, y = (axis[:, ::4][::4] for axis in frame.coordinates())
    light = np.ones(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    for _ in range(5):
        centre = rng.uniform((-60, 130), (60, max(240.0, garment.hem - 20))).astype(np.float32)
        angle = np.float32(rng.normal(0, 0.5) + (0 if rng.random() < 0.6 else np.sign(centre[0]) * 0.8))
        across = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
        along = (y - centre[1]) * np.cos(angle) - (x - centre[0]) * np.sin(angle)
        width, length = np.float32(rng.uniform(4, 9)), np.float32(rng.uniform(30, 75))
        crease = np.exp(-((across / width) ** 2) - (along / length) ** 2)
        light += np.float32(0.26) * crease * np.clip(across / width, -1, 1)
    fine = np.asarray(Image.fromarray(light).resize(sheet.size, Image.Resampling.BILINEAR))
    pixels = np.asarray(sheet.convert("RGB")) * fine[..., None]
    lit = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    lit.putalpha(sheet.getchannel("A"))
    return lit

"""Where the figure stands in the picture, and what light, lens and sensor do to it."""

import numpy as np
from PIL import Image


def homography(corners: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The projective map (3, 3) that takes four points (4, 2) to four others."""
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, targets, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.append(
        np.linalg.solve(np.array(rows, dtype=np.float64), np.array(values, dtype=np.float64)), 1.0
    ).reshape(3, 3)


def project(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (N, 2) through a projective map."""
    lifted = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    return lifted[:, :2] / lifted[:, 2:]


def warp(picture: Image.Image, matrix: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """The picture seen through `matrix` (its pixels -> pixels of a picture of `size`), empty outside. A mask (L) takes
    the nearest pixel, as its edge need not be smooth."""
    back = np.linalg.inv(matrix)
    resample = Image.Resampling.NEAREST if picture.mode == "L" else Image.Resampling.BILINEAR
    return picture.transform(size, Image.Transform.PERSPECTIVE, (back / back[2, 2]).ravel()[:8].tolist(), resample)


def lay(figure: Image.Image, matrix: np.ndarray, scene: Image.Image) -> None:
    """Put an RGBA figure into the scene through `matrix`. Only pixels that it can reach are computed: bilinear sampling
    of four channels is the dearest step of a photo."""
    box = figure.getbbox()
    assert box  # it is not empty
    x1, y1, x2, y2 = box
    filled = max(x1 - 2, 0), max(y1 - 2, 0), min(x2 + 2, figure.width), min(y2 + 2, figure.height)
    source = _reach(np.linalg.inv(matrix), (0, 0, *scene.size), filled)
    target = _reach(matrix, source, (0, 0, *scene.size))
    before, after = np.eye(3), np.eye(3)
    before[:2, 2], after[:2, 2] = source[:2], (-target[0], -target[1])
    seen = warp(figure.crop(source), after @ matrix @ before, (target[2] - target[0], target[3] - target[1]))
    scene.paste(seen, target[:2], seen)


def _reach(matrix: np.ndarray, box: tuple, limits: tuple) -> tuple[int, int, int, int]:
    """The pixels of `limits` (x1, y1, x2, y2; ends excluded) that `box`, seen through `matrix`, can touch."""
    x1, y1, x2, y2 = box
    corners = project(matrix, np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], dtype=np.float64))
    low = np.floor(corners.min(0)).astype(int) - 2
    high = np.ceil(corners.max(0)).astype(int) + 2
    left, top = max(limits[0], int(low[0])), max(limits[1], int(low[1]))
    return left, top, min(limits[2], int(high[0])), min(limits[3], int(high[1]))


def aim(
    box: tuple[float, float, float, float], size: tuple[int, int], rng: np.random.Generator, *,
    fill: tuple[float, float], tilt: float, keystone: float, shift: float,
) -> np.ndarray:  # fmt: skip
    """A map that brings `box` (x1, y1, x2, y2) of the figure into a picture of `size`: its longer side takes a share
    drawn from `fill` of the picture, turned by about `tilt` degrees, its corners pulled apart by up to `keystone` of
    its size, off the centre by up to `shift` of the picture."""
    x1, y1, x2, y2 = box
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], dtype=np.float64)
    middle = corners.mean(0)
    scale = rng.uniform(*fill) / max((x2 - x1) / size[0], (y2 - y1) / size[1])
    angle = np.radians(rng.uniform(-tilt, tilt))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pulled = corners + rng.uniform(-keystone, keystone, (4, 2)) * (x2 - x1, y2 - y1)
    centre = np.array(size) * (0.5 + rng.uniform(-shift, shift, 2))
    return homography(corners, (pulled - middle) @ turn.T * scale + centre)


def turned_away(size: tuple[int, int]) -> np.ndarray:
    """What makes a figure look turned to the side: narrower, and sloping, about the middle of a picture of `size`."""
    x = size[0] / 2
    return np.array([[0.62, 0.0, 0.38 * x], [0.05, 1.0, -0.05 * x], [0.0, 0.0, 1.0]])


def expose(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A customer's photo: uneven light, the lamp's colour, contrast, vignette, a soft lens and sensor noise."""
    width, height = picture.size
    if rng.random() < 0.6:
        blur = rng.uniform(1.2, 2.4)
        picture = picture.resize((round(width / blur), round(height / blur)), Image.Resampling.BILINEAR)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    slope = rng.uniform(-0.22, 0.22, 2).astype(np.float32)
    light = np.float32(rng.uniform(0.62, 1.14)) * (1 + slope[0] * x + slope[1] * y)
    light *= 1 - np.float32(rng.uniform(0, 0.16)) * (x**2 + y**2)
    if rng.random() < 0.35:  # the edge of a shadow across the picture
        angle = rng.uniform(0, np.pi)
        edge = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y - np.float32(rng.uniform(-0.5, 0.5))
        light *= 1 - np.float32(rng.uniform(0.15, 0.38)) * np.clip(edge * 6, 0, 1)
    colour, offset = _colour_response(rng)
    noise = rng.standard_normal((height, width), dtype=np.float32) * np.float32(rng.uniform(0, 7))
    pixels = np.asarray(picture, dtype=np.float32) @ colour
    pixels *= light[..., None]
    pixels += (noise + offset)[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))


def _colour_response(rng: np.random.Generator) -> tuple[np.ndarray, np.float32]:
    """The lamp's colour, saturation and contrast as a matrix (3, 3) for RGB rows, and the level to add."""
    warmth, tint = rng.normal(0, 0.13), rng.normal(0, 0.05)
    cast = np.diag(np.exp([warmth, tint, -warmth]))
    saturation, contrast = rng.uniform(0.6, 1.2), rng.uniform(0.72, 1.15)
    fade = saturation * np.eye(3) + (1 - saturation) / 3
    return (cast @ fade * contrast).astype(np.float32), np.float32(118 * (1 - contrast))

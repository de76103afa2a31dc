"""Where the figure stands in the picture, and what light, lens and sensor do to it."""

import numpy as np
from PIL import Image, ImageFilter


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
    resample = Image.NEAREST if picture.mode == "L" else Image.BILINEAR
    return picture.transform(size, Image.PERSPECTIVE, (back / back[2, 2]).ravel()[:8].tolist(), resample)


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
    if rng.random() < 0.6:
        picture = picture.filter(ImageFilter.BoxBlur(rng.uniform(0.3, 1.2)))
    width, height = picture.size
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

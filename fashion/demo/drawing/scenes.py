"""Where customers take photos: rooms, streets, parks, wardrobes, and tables to lay things on."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from fashion.demo.drawing.canvas import RGB, shade
from fashion.demo.drawing.design import pick
from fashion.demo.drawing.stage import BRIGHT, WALLS, WOODS, Stage, clothes, plant, poster, things, window


def standing(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A place where somebody can stand, `size` pixels, RGB."""
    return _scene(rng, size, (_bedroom, _wardrobe, _street, _park, _bricks, _tiles, _cafe))


def hanging(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A place where a hanger hangs."""
    return _scene(rng, size, (_wardrobe, _door, _bricks, _bedroom))


def lying(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Something to lay a garment on, seen from above, with things left about."""
    return _scene(rng, size, (_boards, _sheet, _rug))


def studio(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A shop's plain light ground."""
    width, height = size
    tone = np.array(
        ((244, 244, 244), (238, 239, 241), (245, 241, 236), (250, 250, 250))[int(rng.integers(4))], np.float32
    )
    fall = 1 - 0.05 * np.linspace(-0.4, 1, height, dtype=np.float32)[:, None, None] ** 2
    return Image.fromarray(np.broadcast_to(tone * fall, (height, width, 3)).clip(0, 255).astype(np.uint8))


def _scene(rng: np.random.Generator, size: tuple[int, int], kinds: tuple[Callable[[Stage], None], ...]) -> Image.Image:
    """Drawn small and enlarged: it is out of focus, more or less."""
    blur = rng.uniform(1.4, 3.2)
    stage = Stage(rng, (round(size[0] / blur), round(size[1] / blur)))
    pick(rng, kinds)(stage)
    return stage.image.resize(size, Image.Resampling.BICUBIC)


def _wall(s: Stage) -> RGB:
    wall = s.pick(WALLS)
    s.rect(0, 0, 1, 1, wall)
    style, other = s.pick(("plain", "plain", "stripes", "dots", "panel")), shade(wall, 0.92)
    if style == "stripes":
        for i in range(0, 16, 2):
            s.rect(i / 16, 0, (i + 1) / 16, 1, other)
    elif style == "dots":
        for i in range(9):
            for j in range(9):
                s.disc((i + 0.5 * (j % 2)) / 8, j / 8, 0.018, other)
    elif style == "panel":
        s.rect(0, 0.5, 1, 1, shade(wall, 0.85))
    return wall


def _floor(s: Stage, y: float) -> None:
    wood = s.pick(WOODS)
    s.rect(0, y, 1, 1, wood)
    for i in range(-3, 9):
        s.line([(0.5 + (i - 2.5) * 0.13, y), (0.5 + (i - 2.5) * 0.3, 1)], shade(wood, 0.82), 0.005)
    s.rect(0, y - 0.02, 1, y, (244, 242, 238))


def _bedroom(s: Stage) -> None:
    _wall(s)
    floor = s.u(0.68, 0.86)
    _floor(s, floor)
    if s.u() < 0.6:
        window(s, s.u(-0.05, 0.65), s.u(0.03, 0.15))
    for _ in range(int(s.u(1, 4))):
        poster(s, s.u(0, 0.85), s.u(0, 0.35), s.u(0.12, 0.24))
    if s.u() < 0.7:
        quilt, side = s.pick(BRIGHT), s.pick((-0.25, 0.55))
        s.rect(side, floor - 0.16, side + 0.7, floor + 0.1, quilt)
        s.rect(side, floor + 0.06, side + 0.7, floor + 0.13, shade(quilt, 0.7))
        for i in range(5):
            s.rect(
                side + 0.14 * i,
                floor - 0.16,
                side + 0.14 * i + 0.06,
                floor + 0.06,
                s.pick((shade(quilt, 1.4), shade(quilt, 0.8))),
            )
        s.disc(side + 0.15, floor - 0.17, 0.1, (248, 246, 242))
    if s.u() < 0.6:
        plant(s, s.pick((0.08, 0.9)), s.u(0.6, 0.85), s.u(0.12, 0.22))


def _wardrobe(s: Stage) -> None:
    _wall(s)
    _floor(s, s.u(0.85, 0.95))
    rail = s.u(0.05, 0.16)
    s.line([(0, rail), (1, rail)], (110, 108, 112), 0.014)
    for x in np.linspace(-0.02, 1.02, int(s.u(6, 10))):
        clothes(s, float(x) + s.u(-0.03, 0.03), rail + 0.05, s.u(0.24, 0.34))
    for i in range(int(s.u(2, 5))):
        x = i * 0.24 + s.u(0, 0.08)
        s.rect(x, 0.8, x + 0.2, 0.93, s.pick(BRIGHT + WOODS))
        s.rect(x + 0.07, 0.83, x + 0.13, 0.86, (240, 236, 228))


def _street(s: Stage) -> None:
    s.fade(s.pick(((150, 190, 226), (232, 190, 160), (190, 200, 212))), (240, 236, 226))
    x = -0.1
    while x < 1:
        width, top, wall = s.u(0.22, 0.4), s.u(0.05, 0.4), s.pick((*WALLS, (176, 112, 92), (150, 140, 136)))
        s.rect(x, top, x + width, 0.85, wall)
        glass = s.pick(((96, 116, 140), (244, 214, 140), (150, 180, 200)))
        for i in range(3):
            for j in range(5):
                s.rect(
                    x + width * (0.12 + 0.3 * i),
                    top + 0.05 + 0.12 * j,
                    x + width * (0.3 + 0.3 * i),
                    top + 0.12 + 0.12 * j,
                    glass,
                )
        x += width
    s.rect(0, 0.8, 1, 1, (128, 128, 132))
    s.rect(0, 0.8, 1, 0.84, (176, 174, 170))
    for i in range(4):
        s.rect(0.05 + 0.27 * i, 0.93, 0.2 + 0.27 * i, 0.95, (230, 228, 220))
    if s.u() < 0.6:
        x = s.u(0.0, 1.0)
        s.rect(x - 0.02, 0.5, x + 0.02, 0.85, (112, 84, 64))
        for dx, dy in ((0, 0.36), (-0.1, 0.44), (0.1, 0.44)):
            s.disc(x + dx, dy, 0.13, s.pick(((92, 144, 84), (112, 160, 92))))


def _park(s: Stage) -> None:
    s.fade((144, 196, 232), (226, 238, 236), 0.6)
    s.disc(s.u(0.05, 0.95), s.u(0.05, 0.2), 0.08, (255, 240, 190))
    s.disc(s.u(0, 0.5), 1.1, 0.75, (150, 188, 116))
    s.disc(s.u(0.6, 1), 1.15, 0.8, (126, 172, 104))
    s.rect(0, 0.8, 1, 1, (138, 178, 100))
    for _ in range(int(s.u(2, 5))):
        x, y, size = s.u(), s.u(0.45, 0.62), s.u(0.1, 0.2)
        s.rect(x - 0.015, y, x + 0.015, y + 0.25, (116, 86, 62))
        s.disc(x, y - 0.03, size, s.pick(((70, 124, 80), (98, 150, 84), (196, 148, 70), (224, 150, 160))))
    for _ in range(18):
        s.disc(s.u(), s.u(0.82, 1), 0.011, s.pick(((250, 246, 240), (244, 206, 90), (230, 130, 150))))


def _bricks(s: Stage) -> None:
    brick, rows = s.pick(((176, 100, 80), (196, 178, 160), (122, 112, 112), (222, 214, 204))), int(s.u(9, 18))
    s.rect(0, 0, 1, 1, shade(brick, 1.5))
    for j in range(rows):
        for i in range(-1, rows // 2 + 1):
            x, w = (i + 0.5 * (j % 2)) * 2 / rows, 2 / rows
            s.rect(x, j / rows, x + w * 0.93, (j + 0.86) / rows, shade(brick, s.u(0.86, 1.1)))
    if s.u() < 0.5:
        poster(s, s.u(0, 0.75), s.u(0, 0.3), s.u(0.2, 0.3))


def _tiles(s: Stage) -> None:
    tile, count = s.pick(((214, 228, 230), (238, 236, 232), (168, 196, 190), (196, 178, 196))), int(s.u(6, 12))
    s.rect(0, 0, 1, 1, shade(tile, 0.78))
    for i in range(count):
        for j in range(count + 3):
            s.rect(i / count, j / count, (i + 0.94) / count, (j + 0.94) / count, shade(tile, s.u(0.95, 1.1)))
    s.rect(0, 0.78, 1, 0.84, (250, 250, 250))
    for x in (s.u(0.02, 0.3), s.u(0.7, 0.95)):
        s.rect(x - 0.03, 0.64, x + 0.03, 0.78, s.pick(BRIGHT))
        s.rect(x - 0.012, 0.6, x + 0.012, 0.64, (240, 240, 240))


def _cafe(s: Stage) -> None:
    wall = s.pick(((96, 112, 104), (176, 132, 100), (70, 78, 96), (214, 188, 152)))
    s.rect(0, 0, 1, 1, wall)
    for y in (0.14, 0.3):
        s.rect(0, y, 1, y + 0.02, s.pick(WOODS))
        for x in np.linspace(0.03, 0.95, 9):
            height = s.u(0.04, 0.1)
            s.rect(float(x), y - height, float(x) + 0.06, y, s.pick(BRIGHT))
    for x in (s.u(0.05, 0.3), s.u(0.7, 0.95)):
        s.line([(x, 0), (x, 0.16)], (40, 38, 40), 0.006)
        s.poly([(x - 0.03, 0.16), (x + 0.03, 0.16), (x + 0.09, 0.25), (x - 0.09, 0.25)], s.pick(BRIGHT))
        s.disc(x, 0.26, 0.03, (255, 240, 190))
    wood = s.pick(WOODS)
    s.rect(0, 0.66, 1, 1, wood)
    s.rect(0, 0.64, 1, 0.69, shade(wood, 1.4))
    plant(s, s.u(0.05, 0.95), 0.58, 0.12)


def _door(s: Stage) -> None:
    _wall(s)
    wood = s.pick((*WOODS, (236, 232, 224), (120, 150, 160), (196, 120, 100)))
    s.rect(0.12, 0, 0.88, 1, shade(wood, 0.8))
    s.rect(0.15, 0.02, 0.85, 1, wood)
    for y in (0.08, 0.54):
        for x in (0.21, 0.53):
            s.rect(x, y, x + 0.26, y + 0.38, shade(wood, 0.87))
            s.rect(x + 0.015, y + 0.012, x + 0.26, y + 0.38, shade(wood, 1.12))
    s.disc(0.8, 0.52, 0.025, (220, 190, 110))


def _boards(s: Stage) -> None:
    wood, count = s.pick(WOODS), int(s.u(5, 9))
    for i in range(count):
        tone = shade(wood, s.u(0.88, 1.1))
        s.rect(i / count, 0, (i + 1) / count, 1, tone)
        for _ in range(4):
            x, y = (i + s.u()) / count, s.u(0, 0.9)
            s.line([(x, y), (x + 0.004, y + s.u(0.05, 0.25))], shade(tone, 0.9), 0.004)
        s.line([(i / count, 0), (i / count, 1)], shade(wood, 0.65), 0.006)
    things(s)


def _sheet(s: Stage) -> None:
    cloth = s.pick(((238, 236, 232), (206, 214, 222), (222, 200, 196), *BRIGHT))
    s.rect(0, 0, 1, 1, cloth)
    for _ in range(10):
        x, y, lean = s.u(-0.2, 1), s.u(-0.2, 1), s.u(-0.3, 0.3)
        s.poly(
            [(x, y), (x + 0.05, y), (x + 0.08 + lean, y + 0.5), (x + 0.04 + lean, y + 0.5)],
            shade(cloth, s.u(0.9, 0.98)),
        )
    for x in (0.18, 0.72):
        s.rect(x - 0.2, -0.05, x + 0.25, 0.1, (250, 248, 244))
    things(s)


def _rug(s: Stage) -> None:
    first, second = s.pick(BRIGHT), s.pick((*WALLS, *BRIGHT))
    s.rect(0, 0, 1, 1, s.pick(WOODS))
    s.rect(0.03, 0.03, 0.97, 0.97, first)
    s.rect(0.07, 0.06, 0.93, 0.94, second)
    for j in range(7):
        for i in range(5):
            x, y = 0.16 + i * 0.17, 0.12 + j * 0.13
            s.poly(
                [(x, y - 0.05), (x + 0.06, y), (x, y + 0.05), (x - 0.06, y)],
                first if (i + j) % 2 else shade(second, 0.85),
            )
    things(s)

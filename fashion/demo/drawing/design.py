"""What a garment is: its category, cut, colours, pattern and details, drawn from (seed, item) alone."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from fashion.demo.drawing.canvas import RGB

# Ten grounds for the whole catalogue: many items share one, so that colour alone tells little.
PALETTE: dict[str, RGB] = {
    "cream": (240, 232, 214), "charcoal": (58, 58, 66), "red": (196, 58, 56), "navy": (44, 58, 104),
    "sky": (126, 172, 214), "green": (62, 122, 92), "mustard": (222, 172, 66), "pink": (230, 154, 170),
    "brown": (142, 98, 70), "lilac": (150, 126, 182),
}  # fmt: skip

Option = TypeVar("Option")

UPPER, LOWER, FULL = 1, 2, 3

PATTERNS = (
    "plain", "stripes", "vertical", "diagonal", "breton", "gingham", "plaid", "argyle", "dots", "floral", "hearts",
    "stars", "zigzag", "waves", "leopard", "terrazzo", "gradient", "blocks",
)  # fmt: skip
MOTIFS = (
    "cat", "star", "heart", "sun", "moon", "flower", "bolt", "mountain", "fish", "strawberry", "mushroom", "cactus",
    "rainbow", "planet", "number", "smiley", "whale", "avocado",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What a category allows; each tuple is drawn from. Lengths in body units."""

    clothes_type: int
    necks: tuple[str, ...] = ("",)
    sleeves: tuple[float, ...] = (0.0,)  # share of the arm
    hems: tuple[float, ...] = (285.0,)  # y of the hem
    flares: tuple[float, ...] = (0.0,)  # half-width added at the hem
    fits: tuple[float, ...] = (1.0, 1.1, 1.2)
    closures: tuple[str, ...] = ("none",)
    pockets: tuple[str, ...] = ("none",)
    trims: tuple[str, ...] = ()
    fabrics: tuple[str, ...] = ("cotton", "linen")
    plainness: float = 0.25  # chance of no pattern
    motif: float = 0.0  # chance that a plain one carries a print


CATEGORIES: dict[str, Cut] = {
    "Tee": Cut(
        clothes_type=UPPER, necks=("crew", "v", "scoop", "boat"), sleeves=(0.25, 0.33, 0.42), hems=(255, 280, 300),
        pockets=("none", "none", "chest"), trims=("ringer", "knot"), plainness=0.45, motif=0.85,
    ),
    "Top": Cut(
        clothes_type=UPPER, necks=("crew", "v", "boat", "square", "turtle"), sleeves=(0.7, 0.95), hems=(270, 290),
        flares=(0, 8), trims=("ringer", "bell", "buttons"), plainness=0.3, motif=0.6,
    ),
    "Blouse": Cut(
        clothes_type=UPPER, necks=("collar", "round collar", "bow"), sleeves=(0.3, 0.65, 0.95), hems=(275, 295),
        closures=("buttons",), pockets=("none", "chest", "two chest"), trims=("puff", "bell", "cuffs"),
        fabrics=("cotton", "linen", "silk", "denim"), plainness=0.2,
    ),
    "Hoodie": Cut(
        clothes_type=UPPER, necks=("hood",), sleeves=(0.97,), hems=(270, 292), fits=(1.15, 1.28),
        closures=("none", "zip"), pockets=("kangaroo", "kangaroo", "none"), trims=("ringer", "raglan"),
        fabrics=("fleece",), plainness=0.5, motif=0.75,
    ),
    "Sweater": Cut(
        clothes_type=UPPER, necks=("crew", "v", "turtle"), sleeves=(0.95,), hems=(265, 288), fits=(1.1, 1.25),
        closures=("none", "none", "buttons"), trims=("patches", "ringer", "raglan"), fabrics=("knit", "cable knit"),
        plainness=0.25, motif=0.5,
    ),
    "Jacket": Cut(
        clothes_type=UPPER, necks=("collar", "lapel", "turtle"), sleeves=(0.97,), hems=(255, 278), fits=(1.15, 1.25),
        closures=("zip", "buttons", "double"), pockets=("side", "two chest", "patch"), trims=("ringer", "cuffs"),
        fabrics=("denim", "leather", "corduroy", "wool"), plainness=0.6,
    ),
    "Tank": Cut(
        clothes_type=UPPER, necks=("strap", "scoop", "v", "halter"), hems=(240, 275, 292), flares=(0, 12, 22),
        trims=("ringer", "ruffle", "knot"), plainness=0.35, motif=0.7,
    ),
    "Coat": Cut(
        clothes_type=FULL, necks=("lapel", "collar", "hood"), sleeves=(0.98,), hems=(345, 395, 430), flares=(6, 22),
        fits=(1.15, 1.25), closures=("buttons", "double", "zip"), pockets=("side", "patch"), trims=("belt", "cuffs"),
        fabrics=("wool", "cotton", "corduroy"), plainness=0.55,
    ),
    "Dress": Cut(
        clothes_type=FULL, necks=("strap", "v", "crew", "round collar", "square", "halter"),
        sleeves=(0.0, 0.0, 0.3, 0.65, 0.95), hems=(335, 370, 420, 462), flares=(8, 32, 58),
        closures=("none", "none", "buttons"), trims=("belt", "ruffle", "puff", "tiers"),
        fabrics=("cotton", "silk", "linen"), plainness=0.2, motif=0.2,
    ),
    "Jumpsuit": Cut(
        clothes_type=FULL, necks=("bib", "bib", "v", "strap"), hems=(345, 470, 482), flares=(0, 8, 16),
        closures=("none", "buttons"), pockets=("bib", "none"), trims=("belt", "rolled"),
        fabrics=("denim", "cotton", "corduroy"), plainness=0.4, motif=0.4,
    ),
    "Skirt": Cut(
        clothes_type=LOWER, hems=(305, 345, 395, 440), flares=(-4, 18, 40, 62), fits=(1.0,),
        closures=("none", "none", "buttons"), pockets=("none", "side"), trims=("belt", "ruffle", "pleats", "tiers"),
        fabrics=("cotton", "silk", "wool", "denim"), plainness=0.25,
    ),
    "Jeans": Cut(
        clothes_type=LOWER, hems=(435, 470, 490), flares=(-5, 0, 6, 16), fits=(0.95, 1.1), closures=("fly",),
        pockets=("jeans",), trims=("ripped", "rolled", "side stripe", "patches", "belt"), fabrics=("denim",),
        plainness=0.7,
    ),
    "Joggers": Cut(
        clothes_type=LOWER, hems=(475, 486), flares=(-4, 2, 10), fits=(1.05, 1.2), closures=("drawstring",),
        pockets=("side", "cargo", "none"), trims=("side stripe", "cuffs", "patches"), fabrics=("fleece", "cotton"),
        plainness=0.4,
    ),
    "Shorts": Cut(
        clothes_type=LOWER, hems=(335, 355, 385), flares=(0, 8, 16), fits=(1.0, 1.15), closures=("drawstring", "fly"),
        pockets=("jeans", "side", "cargo"), trims=("side stripe", "rolled", "ruffle", "belt"),
        fabrics=("cotton", "linen", "denim"), plainness=0.3,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Garment:
    """One item's design. Everything that its pictures have in common."""

    seed: tuple[int, int]  # (catalogue's seed, item)
    category: str
    clothes_type: int
    colour_names: tuple[str, str, str]  # ground, second, third
    pattern: str
    pattern_size: float  # period of the pattern, units
    fabric: str
    neck: str
    sleeve: float
    fit: float
    hem: float
    flare: float
    closure: str
    pocket: str
    motif: str  # "" without a print
    trims: frozenset[str]

    @property
    def colours(self) -> tuple[RGB, RGB, RGB]:
        ground, second, third = (PALETTE[name] for name in self.colour_names)
        return ground, second, third

    def random(self, *stream: int) -> np.random.Generator:
        """The generator of one aspect of this item (a picture, a print); the same wherever and whenever it is made."""
        return np.random.default_rng([*self.seed, *stream])


def design(seed: int, item: int) -> Garment:
    """The design of item number `item` (from 0) of the catalogue of `seed`; both non-negative."""
    rng = np.random.default_rng([seed, item])
    category = pick(rng, tuple(CATEGORIES))
    cut = CATEGORIES[category]
    ground, second, third = _colours(rng)
    pattern = "plain" if rng.random() < cut.plainness else pick(rng, PATTERNS[1:])
    motif = pick(rng, MOTIFS) if pattern == "plain" and rng.random() < cut.motif else ""
    return Garment(
        seed=(seed, item), category=category, clothes_type=cut.clothes_type, colour_names=(ground, second, third),
        pattern=pattern, pattern_size=float(rng.choice((17.0, 26.0, 38.0))), fabric=pick(rng, cut.fabrics),
        neck=pick(rng, cut.necks), sleeve=float(pick(rng, cut.sleeves)), fit=float(pick(rng, cut.fits)),
        hem=float(pick(rng, cut.hems)) + rng.uniform(-6, 6), flare=float(pick(rng, cut.flares)),
        closure=pick(rng, cut.closures), pocket=pick(rng, cut.pockets), motif=motif,
        trims=frozenset(trim for trim in cut.trims if rng.random() < 0.4),
    )  # fmt: skip


def pick(rng: np.random.Generator, options: tuple[Option, ...]) -> Option:
    return options[int(rng.integers(len(options)))]


def _colours(rng: np.random.Generator) -> tuple[str, str, str]:
    """Ground, second and third colour; the second stands out from the ground in lightness."""
    names = list(PALETTE)
    ground = pick(rng, tuple(names))
    light = {name: float(np.dot(PALETTE[name], (0.3, 0.59, 0.11))) for name in names}
    clear = [name for name in names if abs(light[name] - light[ground]) > 45]
    second = clear[int(rng.integers(len(clear)))]
    rest = [name for name in names if name not in (ground, second)]
    return ground, second, rest[int(rng.integers(len(rest)))]

"""Attribute names of a garment, in the five types of DeepFashion: 1 texture, 2 fabric, 3 shape, 4 part, 5 style."""

from fashion.demo.drawing.design import CATEGORIES, LOWER, UPPER, Garment

TEXTURE, FABRIC, SHAPE, PART, STYLE = 1, 2, 3, 4, 5

_PATTERN_NAMES = {
    "plain": ("solid",), "stripes": ("striped",), "vertical": ("striped", "vertical striped"),
    "diagonal": ("striped", "diagonal striped"), "breton": ("striped", "breton"), "gingham": ("check", "gingham"),
    "plaid": ("check", "plaid"), "argyle": ("argyle",), "dots": ("dotted",), "floral": ("floral",),
    "hearts": ("heart print",), "stars": ("star print",), "zigzag": ("chevron",), "waves": ("wavy",),
    "leopard": ("leopard print",), "terrazzo": ("speckled",), "gradient": ("ombre",), "blocks": ("colorblock",),
}  # fmt: skip
_PART_NAMES = {
    "crew": "crew neck", "v": "v-neck", "scoop": "scoop neck", "boat": "boat neck", "square": "square neck",
    "turtle": "turtleneck", "collar": "collar", "round collar": "peter pan collar", "bow": "bow tie neck",
    "hood": "hooded", "lapel": "lapel", "strap": "strap", "halter": "halter", "bib": "bib",
    "buttons": "button front", "zip": "zip front", "double": "double-breasted", "drawstring": "drawstring",
    "belt": "belted", "ruffle": "ruffle", "puff": "puff sleeve", "bell": "bell sleeve", "pleats": "pleated",
    "tiers": "tiered", "knot": "knotted", "side stripe": "side stripe", "rolled": "rolled hem", "ripped": "ripped",
    "patches": "patch", "cuffs": "contrast cuff", "ringer": "contrast trim", "raglan": "raglan",
}  # fmt: skip
_SLEEVES = ("sleeveless", "short sleeve", "half sleeve", "long sleeve")
_LENGTHS = ("cropped", "mini", "midi", "maxi", "ankle length")
_FITS = ("slim", "regular fit", "loose", "a-line")
_STYLES = ("for kids", "classic", "summer day", "street style", "at work", "cosy home", "party night")
_FABRICS = tuple(dict.fromkeys(fabric for cut in CATEGORIES.values() for fabric in cut.fabrics))

# Every name that there is, with its type; the order is the order of the benchmark's columns.
ATTRIBUTES: dict[str, int] = {
    **{name: TEXTURE for names in _PATTERN_NAMES.values() for name in names}, "graphic print": TEXTURE,
    **dict.fromkeys(_FABRICS, FABRIC),
    **dict.fromkeys((*_LENGTHS, *_FITS), SHAPE),
    **dict.fromkeys((*_PART_NAMES.values(), *_SLEEVES, "pocket"), PART),
    **dict.fromkeys(_STYLES, STYLE),
}  # fmt: skip


def attributes(garment: Garment) -> tuple[str, ...]:
    """The names that hold for every picture of the garment, in the order of ATTRIBUTES."""
    names = {*_PATTERN_NAMES[garment.pattern], garment.fabric, _length(garment), _fit(garment), _style(garment)}
    if garment.motif:
        names.add("graphic print")
    if garment.clothes_type != LOWER:
        names.add(
            _SLEEVES[0 if garment.sleeve == 0 else 1 if garment.sleeve < 0.4 else 2 if garment.sleeve < 0.8 else 3]
        )
    if garment.pocket != "none":
        names.add("pocket")
    names |= {_PART_NAMES[name] for name in (garment.neck, garment.closure, *garment.trims) if name in _PART_NAMES}
    return tuple(name for name in ATTRIBUTES if name in names)


def _length(garment: Garment) -> str:
    limits = ((262, "cropped"), (352, "mini"), (405, "midi")) if garment.clothes_type != UPPER else ((262, "cropped"),)
    for limit, name in limits:
        if garment.hem < limit:
            return name
    if garment.clothes_type == UPPER:
        return "regular fit"
    return "maxi" if garment.category in ("Dress", "Skirt", "Coat") else "ankle length"


def _fit(garment: Garment) -> str:
    if garment.flare > 15 and garment.clothes_type != UPPER:
        return "a-line"
    return "slim" if garment.fit < 1.05 else "regular fit" if garment.fit < 1.18 else "loose"


def _style(garment: Garment) -> str:
    if garment.motif in ("cat", "whale", "smiley", "rainbow", "strawberry", "fish", "mushroom"):
        return "for kids"
    if garment.category in ("Hoodie", "Joggers") or "ripped" in garment.trims:
        return "street style"
    if garment.fabric in ("knit", "cable knit", "fleece"):
        return "cosy home"
    if garment.category in ("Blouse", "Jacket", "Coat") and garment.pattern == "plain":
        return "at work"
    if garment.fabric == "silk" or "ruffle" in garment.trims:
        return "party night"
    return "summer day" if garment.sleeve < 0.3 and garment.clothes_type != LOWER else "classic"

"""Colour profiles become sRGB, against their formulas."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from fashion.data.decode import decode
from tests.data.drawn import LOSSLESS, LOSSY, difference, encode, garment

SRGB = (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)
WIDE = {
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    "Adobe RGB": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),
}
GAMMA = 563 / 256  # Adobe's; of Display P3 here too, for the oracle's sake


def to_xyz(primaries) -> np.ndarray:
    """Linear red, green, blue -> XYZ: the primaries' chromaticities, scaled to give D65, adapted to D50 (Bradford)."""
    xyz = lambda x, y: np.array([x / y, 1, (1 - x - y) / y])  # noqa: E731
    white, d50 = xyz(0.3127, 0.3290), np.array([0.9642, 1.0, 0.8249])
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    colours = np.stack([xyz(*point) for point in primaries], 1)
    return (
        np.linalg.inv(cone) @ np.diag(cone @ d50 / (cone @ white)) @ cone @ (colours * np.linalg.solve(colours, white))
    )


def profile(primaries) -> bytes:
    """An ICC profile, version 2, of a matrix and a gamma (ICC.1:2001-04, 6.3.1.2)."""
    fixed = lambda values: b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(v * 65536)) for v in values)  # noqa: E731
    d50 = (0.9642, 1.0, 0.8249)
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78), b"wtpt": fixed(d50)}
    tags |= {name: fixed(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_xyz(primaries).T, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"curv" + bytes(4) + struct.pack(">IH", 1, round(GAMMA * 256)))
    body, table = b"", struct.pack(">I", len(tags))
    for name, value in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = bytes(4) + b"test" + bytes((2, 0x40, 0, 0)) + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += fixed(d50)[8:] + bytes(48)
    return struct.pack(">I", 128 + len(table) + len(body)) + head[4:] + table + body


def by_formula(pixels_HWC, primaries):
    """8-bit colours of the primaries -> 8-bit sRGB (IEC 61966-2-1)."""
    linear = (pixels_HWC / 255) ** GAMMA @ (np.linalg.inv(to_xyz(SRGB)) @ to_xyz(primaries)).T
    linear = linear.clip(0, 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (255 * coded).round().astype(np.uint8)


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_wide_colours_become_srgb(form, name):
    # Muted, so that none lies outside sRGB, where converters differ.
    muted = Image.fromarray((np.asarray(garment(48, 80)) * 0.4 + 70).astype(np.uint8))
    options = (LOSSLESS | LOSSY)[form]
    as_it_stands = decode(encode(muted, form, **options))
    data = encode(muted, form, icc_profile=profile(WIDE[name]), **options)
    expected = by_formula(as_it_stands.transpose(1, 2, 0), WIDE[name]).transpose(2, 0, 1)
    assert difference(decode(data), expected) <= 2 < difference(as_it_stands, expected)
    resized = decode(data, (20, 12))
    assert (
        difference(
            resized,
            by_formula(decode(encode(muted, form, **options), (20, 12)).transpose(1, 2, 0), WIDE[name]).transpose(
                2, 0, 1
            ),
        )
        <= 2
    )


SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    "broken", [b"", b"not a profile", profile(SRGB)[:200], profile(SRGB)[:-40], SRGB_PROFILE, b"\xff" * 3000]
)
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_profile_that_is_broken_or_srgb_changes_nothing(form, broken):
    options = (LOSSLESS | LOSSY)[form]
    data = encode(garment(48, 80), form, icc_profile=broken, **options)
    assert np.array_equal(decode(data), decode(encode(garment(48, 80), form, **options)))


def test_a_profile_of_another_kind_of_colour_is_passed_over():
    grey = encode(garment(48, 80).convert("L"), "JPEG", icc_profile=SRGB_PROFILE[:16] + b"GRAY" + SRGB_PROFILE[20:])
    assert np.array_equal(decode(grey), decode(encode(garment(48, 80).convert("L"), "JPEG")))

"""How a picture, or its box, becomes a network's input: scaled while it is decoded, resized, stretched, padded, cropped."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from fashion.data import decode as module
from fashion.data.codecs import SCALES
from fashion.data.decode import decode
from tests.data.drawn import distances, encode, garment, upright

CELLS = (6, 5)
PHOTOS = Path(__file__).parents[3] / "shared" / "photos"


def whole_then_resized(data, size, box=None, resample=Image.BILINEAR):
    """The oracle: everything decoded by Pillow, turned, cut, and resized at once; (3, H, W)."""
    image = upright(data)
    return np.asarray(image.crop(box or (0, 0, *image.size)).resize(size[::-1], resample)).transpose(2, 0, 1)


def mean_difference(a, b):
    return distances(a, b).mean()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("sides", [(517, 699), (400, 533), (301, 96)])
def test_a_scaled_picture_lies_where_the_whole_one_does(sides, orientation):
    """RoleCounts that no scale divides end within a pixel, on whichever side the orientation turns it to."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(garment(*sides, cells=CELLS), quality=95, exif=exif)
    width, height = sides if orientation < 5 else sides[::-1]
    for size in [(32, 32), (20, 48), (9, 9)]:
        assert mean_difference(decode(data, size), whole_then_resized(data, size)) < 0.7
        for box in [(13, 7, width - 30, height - 22), (33, 21, 90, 83)]:
            assert mean_difference(decode(data, size, box), whole_then_resized(data, size, box)) < 1.5


def test_real_photos_lose_next_to_nothing():
    photos = sorted(PHOTOS.glob("*.jpg"))[:24]
    if not photos:
        pytest.skip("no photos beside the repository (../shared/photos)")
    for photo in photos:
        data = photo.read_bytes()
        for size in [(64, 64), (96, 128), (224, 224)]:
            assert mean_difference(decode(data, size), whole_then_resized(data, size)) < 1.5
        box = 51, 37, 349, 371
        assert mean_difference(decode(data, (64, 64), box), whole_then_resized(data, (64, 64), box)) < 1.5


@settings(deadline=None)
@given(
    sides=st.tuples(st.integers(8, 400), st.integers(8, 400)),
    size=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    corner=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
    far=st.tuples(st.floats(0.5, 1), st.floats(0.5, 1)),
    fit=st.sampled_from(["stretch", "pad", "crop"]),
    orientation=st.sampled_from([1, 3, 6]),
)
def test_what_is_shown_has_pixels_to_spare_over_what_it_becomes(sides, size, corner, far, fit, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data, used = encode(Image.new("RGB", sides, (9, 99, 199)), exif=exif), []
    width, height = sides if orientation < 5 else sides[::-1]
    box = [round(corner[0] * width), round(corner[1] * height), round(far[0] * width), round(far[1] * height)]
    real = module.decode_jpeg

    def seen(data, stored, scale=1):
        used.append(scale)
        return real(data, stored, scale)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "decode_jpeg", seen)
        pixels = decode(data, size, box, fit=fit)
    assert pixels.shape == (3, *size)
    wide, high = box[2] - box[0], box[3] - box[1]
    if min(wide, high) < 8:
        wide, high = width, height
    ratios = high / size[0], wide / size[1]
    ratio = max(ratios) if fit == "pad" else min(ratios)
    (scale,) = used
    assert scale in (1, *SCALES)
    if fit == "stretch" or min(size) > 30:  # sides are rounded to whole pixels
        assert scale == 1 or ratio >= 1.65 * scale
        assert scale == 8 or ratio < 1.85 * 2 * scale


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(40, 30), (32, 32), (200, 150), (200, 20)])
def test_both_interpolations_are_antialiased(interpolation, size):
    data = encode(garment(90, 120, cells=CELLS), "PNG")
    expected = whole_then_resized(data, size, resample=Image.Resampling[interpolation.upper()])
    found = decode(data, size, interpolation=interpolation)
    assert np.abs(found.astype(int) - expected).max() <= 2
    boxed = decode(data, size, (10, 20, 71, 93), interpolation=interpolation)
    expected = whole_then_resized(data, size, (10, 20, 71, 93), Image.Resampling[interpolation.upper()])
    assert np.abs(boxed.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("sides", [(90, 120), (120, 90), (100, 100), (300, 8), (50, 40)])
@pytest.mark.parametrize("size", [(64, 64), (32, 48)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_pad_and_crop_keep_the_shape(sides, size, interpolation):
    image, resample = garment(*sides, cells=CELLS), Image.Resampling[interpolation.upper()]
    data = encode(image, "PNG")
    padded = decode(data, size, fit="pad", interpolation=interpolation)
    unit = min(size[0] / sides[1], size[1] / sides[0])
    inner = max(1, round(sides[1] * unit)), max(1, round(sides[0] * unit))
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    content = padded[:, top : top + inner[0], left : left + inner[1]]
    assert np.abs(content.astype(int) - whole_then_resized(data, inner, resample=resample)).max() <= 2
    assert (padded == 127).all(0).sum() >= size[0] * size[1] - inner[0] * inner[1]
    cropped = np.asarray(ImageOps.fit(image, size[::-1], resample)).transpose(2, 0, 1)
    found = decode(data, size, fit="crop", interpolation=interpolation)
    assert mean_difference(found, cropped) < 1


def test_the_box_is_what_is_fitted():
    image = garment(200, 160, cells=CELLS)
    boxed = encode(image.crop((20, 30, 120, 90)), "PNG")
    for fit in ("stretch", "pad", "crop"):
        found = decode(encode(image, "PNG"), (32, 32), (20, 30, 120, 90), fit=fit)
        assert np.array_equal(found, decode(boxed, (32, 32), fit=fit)), fit

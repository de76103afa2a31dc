import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fashion.data import decode as module
from fashion.data.decode import BadPicture, check, decode
from tests.data.drawn import by_pillow, difference, encode, garment

PHOTOS = Path(__file__).parents[3] / "shared" / "photos"


JPEGS = {
    "4:2:0": encode(garment(), quality=85),
    "4:4:4": encode(garment(), quality=95, subsampling=0),
    "progressive": encode(garment(), quality=80, progressive=True),
    "odd sides": encode(garment(37, 61), quality=85),
    "grey": encode(garment().convert("L"), quality=85),
}


@pytest.mark.parametrize("name", JPEGS)
def test_both_ways_give_the_same_pixels(name, monkeypatch):
    data = JPEGS[name]
    fast = decode(data), decode(data, (40, 30), (5, 5, 35, 55)), decode(data, (20, 15))
    assert difference(fast[0], by_pillow(data)) <= 1
    monkeypatch.setattr(module, "decode_jpeg", lambda *_: None)
    slow = decode(data), decode(data, (40, 30), (5, 5, 35, 55)), decode(data, (20, 15))
    assert max(map(difference, fast, slow)) <= 1


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_whichever_way_decodes(orientation, mode, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(garment(48, 80).convert(mode), quality=90, exif=exif)
    upright = by_pillow(data)
    assert check(data) == (upright.shape[2], upright.shape[1]) == ((48, 80) if orientation < 5 else (80, 48))
    assert difference(decode(data), upright) <= 1
    box = (3, 7, 33, 41)  # of the upright picture
    assert difference(decode(data, box=box), upright[:, 7:41, 3:33]) <= 1
    monkeypatch.setattr(module, "decode_jpeg", lambda *_: None)
    assert difference(decode(data), upright) <= 1


def test_a_broken_exif_block_does_not_spoil_the_picture():
    plain = encode(garment())
    block = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0"  # cut off inside its first entry
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]
    assert check(data) == (90, 120) and difference(decode(data), by_pillow(plain)) <= 1


OTHERS = {
    "CMYK JPEG": encode(garment().convert("CMYK")),
    "palette PNG": encode(garment().quantize(32), "PNG"),
    "grey PNG": encode(garment().convert("L"), "PNG"),
    "bilevel PNG": encode(garment().convert("1"), "PNG"),
    "WebP": encode(garment(), "WEBP", lossless=True),
    "GIF": encode(garment(), "GIF"),
    "BMP": encode(garment(), "BMP"),
    "PNG with text": encode(garment(), "PNG", pnginfo=PngInfo()),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_modes_and_formats_become_rgb(name):
    assert check(OTHERS[name]) == (90, 120)
    assert difference(decode(OTHERS[name]), by_pillow(OTHERS[name])) == 0


def test_what_is_transparent_becomes_white():
    image = garment().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = encode(image, "PNG")
    pixels, alpha = np.asarray(image, float)[..., :3], np.asarray(image, float)[..., 3:] / 255
    expected = (pixels * alpha + 255 * (1 - alpha)).round().astype(np.uint8).transpose(2, 0, 1)
    assert difference(decode(data), expected) <= 1
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([10, 20, 30, 0, 0, 0])
    palette.paste(0, (0, 0, 10, 20))
    pixels = decode(encode(palette, "PNG", transparency=1))
    assert (pixels[:, :, :10].reshape(3, -1) == [[10], [20], [30]]).all() and (pixels[:, :, 10:] == 255).all()


def test_sixteen_bits_a_pixel_are_scaled_and_not_clipped():
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (16, 1))
    pixels = decode(encode(Image.fromarray(ramp), "PNG"))
    assert (pixels == (ramp >> 8).astype(np.uint8)).all()


def test_resizing_is_antialiased_and_the_box_is_cut_first():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    stripes[:, 32:] = 10
    data = encode(Image.fromarray(stripes), "PNG")
    assert difference(decode(data, (8, 8), (0, 0, 24, 64))[:, :, :7], np.full((3, 8, 7), 127, np.uint8)) <= 24
    assert (decode(data, (8, 8), (32, 0, 64, 64)) == 10).all()


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (500, 500, 600, 600), (10, 10, 12, 90)])
def test_a_box_that_leaves_nothing_stands_for_the_whole_picture(box):
    data = JPEGS["4:2:0"]
    assert np.array_equal(decode(data, (32, 32), box), decode(data, (32, 32)))


def test_the_result_is_contiguous_and_its_own():
    for data in (JPEGS["4:2:0"], OTHERS["palette PNG"]):
        for options in ({}, {"size": (16, 16)}, {"box": (10, 10, 50, 50)}):
            pixels = decode(data, **options)
            assert pixels.flags.c_contiguous and pixels.flags.writeable
            torch.from_numpy(pixels)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_bad_wherever_it_is_cut(progressive):
    data = encode(garment(33, 40), quality=80, progressive=progressive)
    for end in range(len(data) - 2):  # the last two bytes only say that it ends
        with pytest.raises(BadPicture):
            decode(data[:end])


@pytest.mark.parametrize("name", ["palette PNG", "CMYK JPEG", "BMP", "WebP"])
def test_other_truncated_pictures_are_bad(name):
    for part in (0.1, 0.5, 0.9):
        with pytest.raises(BadPicture):
            decode(OTHERS[name][: int(part * len(OTHERS[name]))])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"<html>404 Not Found</html>", "not a picture"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 500, "not a picture"),
        (encode(garment(7, 100), "PNG"), "too small: a side under 8 pixels"),
    ],
)
def test_bad_pictures_say_why(data, reason):
    for use in (check, decode):
        with pytest.raises(BadPicture, match=reason):
            use(data)


def test_truncated_is_the_reason_given():
    data = JPEGS["4:2:0"]
    with pytest.raises(BadPicture, match=r"^truncated$"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("side", [9_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(side):
    """A PNG header that promises `side` x `side` pixels; Pillow warns of the first and refuses the second itself."""
    small = encode(garment(), "PNG")
    header = b"IHDR" + struct.pack(">II", side, side) + small[24:29]
    data = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
    for use in (check, decode):
        with pytest.raises(BadPicture, match="more than 80000000 pixels"):
            use(data)

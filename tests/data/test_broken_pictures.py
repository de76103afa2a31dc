"""What cannot be used of the pictures that people bring is refused in words that add up, before it costs anything."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from fashion.data.codecs import MOST_PIXELS, BadPicture
from fashion.data.decode import check, decode
from tests.data.drawn import LOSSLESS, LOSSY, encode, garment


def png_of(width, height):
    """A PNG whose header promises so many pixels."""
    data = encode(garment(48, 80), "PNG")
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def tiff_of(width, height):
    data = bytearray(encode(garment(48, 80), "TIFF"))
    entries = struct.unpack_from("<I", data, 4)[0]
    for i in range(struct.unpack_from("<H", data, entries)[0]):
        at = entries + 2 + 12 * i
        tag = struct.unpack_from("<H", data, at)[0]
        if tag in (256, 257):
            struct.pack_into("<HII", data, at + 2, 4, 1, width if tag == 256 else height)
    return bytes(data)


def boxed_of(form, width, height):
    data = encode(garment(64, 64), form)
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def webp_of(width, height):
    data = encode(garment(48, 80).convert("RGBA"), "WEBP", lossless=True)
    canvas = (
        b"VP8X"
        + struct.pack("<I", 10)
        + bytes(4)
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    )
    body = b"WEBP" + canvas + data[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_of(width, height):
    data = bytearray(encode(garment(48, 80), "JPEG"))
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, height, width)
    return bytes(data)


BOMBS = {
    "PNG": png_of(40_000, 40_000),
    "PNG, under twice Pillow's limit": png_of(12_000, 12_000),
    "TIFF": tiff_of(40_000, 40_000),
    "WebP": webp_of(40_000, 40_000),
    "WebP, at its largest": webp_of(16_383, 16_383),
    "HEIC": boxed_of("HEIF", 40_000, 40_000),
    "AVIF": boxed_of("AVIF", 40_000, 40_000),
    "JPEG": jpeg_of(65_000, 65_000),
    "GIF": b"GIF89a" + struct.pack("<HH", 40_000, 40_000) + encode(garment(48, 80), "GIF")[10:],
    "BMP": (lambda data: data[:18] + struct.pack("<ii", 40_000, 40_000) + data[26:])(encode(garment(48, 80), "BMP")),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.filterwarnings("error")
def test_a_decompression_bomb_is_refused_before_its_pixels_are(name):
    tracemalloc.start()
    for use in (check, decode):
        with pytest.raises(BadPicture, match=f"^more than {MOST_PIXELS} pixels$|cannot be decoded|not a picture"):
            use(BOMBS[name])
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()


def progressive(scans):
    """A progressive JPEG with its last scan repeated, which libjpeg takes for refinements."""
    data = encode(garment(48, 80), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def test_a_progressive_jpeg_of_thousands_of_scans_is_refused():
    for use in (check, decode):
        with pytest.raises(BadPicture, match="scans"):
            use(progressive(2000))
    assert decode(progressive(1)).shape == (3, 80, 48)


def test_what_follows_a_photo_is_not_counted_as_scans():
    film = np.random.default_rng(0).integers(0, 256, 8_000_000, np.uint8).tobytes()
    data = encode(garment(48, 80), "JPEG")
    assert film.count(b"\xff\xda") > 80
    assert np.array_equal(decode(data + film), decode(data))


def test_an_eps_is_not_handed_to_its_interpreter():
    with pytest.raises(BadPicture, match="not a picture"):
        decode(encode(garment(48, 80), "EPS"))


@pytest.mark.parametrize("form", [*LOSSLESS, *LOSSY])
def test_a_picture_cut_off_anywhere_is_bad_with_a_reason_that_adds_up(form):
    reasons = set()
    for seed in range(3):
        data = encode(garment(60 + seed, 90), form, **(LOSSLESS | LOSSY)[form])
        for part in (0.0, 0.1, 0.5, 0.9):
            with pytest.raises(BadPicture) as fault:
                decode(data[: int(part * len(data))])
            reasons.add(str(fault.value))
    assert not any(character.isdigit() for reason in reasons for character in reason), reasons
    assert len(reasons) <= 5, reasons


@pytest.mark.parametrize("form", [*LOSSLESS, *LOSSY])
@pytest.mark.filterwarnings("error")
def test_whatever_is_broken_in_a_file_is_a_bad_picture_or_none(form):
    rng = np.random.default_rng(1)
    data = np.frombuffer(encode(garment(48, 80), form, **(LOSSLESS | LOSSY)[form]), np.uint8)
    for _ in range(60):
        broken = data.copy()
        broken[rng.integers(0, len(data), 3)] = rng.integers(0, 256, 3)
        try:
            assert decode(broken.tobytes(), (16, 16)).shape == (3, 16, 16)
        except BadPicture as fault:
            text = str(fault).replace("8 pixels", "").replace(f"{MOST_PIXELS}", "")
            assert not any(character.isdigit() for character in text), text


@pytest.mark.parametrize("form", [*LOSSLESS, *LOSSY])
def test_a_picture_of_one_pixel_is_too_small(form):
    for use in (check, decode):
        with pytest.raises(BadPicture, match=r"^too small: a side under 8 pixels$"):
            use(encode(garment(40, 40).resize((1, 1)), form))

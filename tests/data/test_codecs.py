"""Every format, orientation, colour profile and odd file that people bring, against Pillow's own answers."""

import io
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from fashion.data.codecs import ENDINGS, MOST_PIXELS, BadPicture
from fashion.data.decode import check, decode, shrunk
from fashion.data.prepare.pack import pack_picture
from tests.data.drawn import by_pillow, difference, encode, garment

pillow_heif.register_heif_opener()  # here for the files that the tests write; the library does it when one comes by

LOSSLESS = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "BMP": {}, "GIF": {}, "PPM": {}, "JPEG2000": {}}
LOSSY = {"JPEG": {"quality": 95}, "AVIF": {"quality": 95}, "HEIF": {"quality": 95}}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_check_and_decode_agree_on_the_size_whatever_the_format_and_orientation(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(garment(48, 80), form, exif=exif.tobytes(), **(LOSSLESS | LOSSY)[form])
    expected = by_pillow(data)
    assert check(data) == expected.shape[:0:-1] == ((48, 80) if orientation < 5 else (80, 48))
    assert difference(decode(data), expected) <= (1 if form == "JPEG" else 0)
    assert difference(decode(data, box=(3, 7, 33, 41)), expected[:, 7:41, 3:33]) <= (1 if form == "JPEG" else 0)


@pytest.mark.parametrize("form", [*LOSSLESS, *LOSSY])
def test_formats_are_told_by_content_and_not_by_name(form, tmp_path):
    data = encode(garment(48, 80), form, **(LOSSLESS | LOSSY)[form])
    assert check(data) == (48, 80)
    assert difference(decode(data), by_pillow(data)) <= 1
    assert difference(decode(memoryview(data)), by_pillow(data)) <= 1


def test_pillow_heif_is_imported_by_the_first_heic_and_by_nothing_else(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(encode(garment(48, 80), "HEIF"))
    others = [encode(garment(48, 80), form) for form in ("JPEG", "PNG", "AVIF", "TIFF")]
    script = """if True:
        import pickle, sys
        from fashion.data.decode import check, decode
        others, heic = pickle.load(sys.stdin.buffer)
        for data in others:
            decode(data)
        assert "pillow_heif" not in sys.modules
        assert check(heic) == (48, 80) and "pillow_heif" in sys.modules
        print(decode(heic).shape)
    """
    told = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps((others, (tmp_path / "photo.jpg").read_bytes())),
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    assert told.stdout.decode().strip() == "(3, 80, 48)" and not told.stderr


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_picture_of_an_animation_is_taken(form):
    options = (LOSSLESS | LOSSY)[form]
    frames = [garment(48, 80, seed) for seed in range(3)]
    data = encode(frames[0], form, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert difference(decode(data), decode(encode(frames[0], form, **options))) <= (40 if form == "AVIF" else 0)


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


# What cannot be used


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


def test_sixteen_bits_of_every_kind_are_scaled():
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (16, 1))
    for form in ("PNG", "TIFF", "PPM", "JPEG2000"):
        assert np.array_equal(decode(encode(Image.fromarray(ramp), form))[0], (ramp >> 8).astype(np.uint8)), form
    with pytest.raises(BadPicture, match="floating-point"):
        decode(encode(Image.fromarray(ramp.astype(np.float32)), "TIFF"))


def test_cmyk_is_converted_as_pillow_does():
    for form in ("JPEG", "TIFF"):
        data = encode(garment(48, 80).convert("CMYK"), form)
        assert difference(decode(data), by_pillow(data)) == 0


def test_a_shrunk_picture_keeps_its_shape_and_is_never_enlarged():
    data = encode(garment(48, 80), "JPEG")
    assert shrunk(data, 40).shape == (3, 40, 24) and shrunk(data, 500).shape == (3, 80, 48)
    assert difference(shrunk(data, 500), decode(data)) == 0


def test_endings_are_those_that_pillow_and_pillow_heif_give_these_formats():
    Image.init()
    forms = {"JPEG", "MPO", "HEIF", "AVIF", *LOSSLESS, "DIB"}
    known = {ending for ending, form in Image.registered_extensions().items() if form in forms}
    assert known - {".jpc", ".j2c", ".pfm"} <= set(ENDINGS)  # bare code streams and floating-point numbers


@pytest.mark.parametrize("form", [*LOSSLESS, *LOSSY])
@pytest.mark.parametrize("size", [None, 30])
def test_whatever_comes_is_packed_as_an_upright_srgb_jpeg(form, size):
    exif = Image.Exif()
    exif[0x0112] = 6
    takes_exif = form in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
    options = (LOSSLESS | LOSSY)[form] | ({"exif": exif.tobytes()} if takes_exif else {})
    image = garment(96, 60)
    data = encode(image, form, **options)
    row = {"image": "img/a.jpg", "box": [10, 10, 50, 50], "landmarks": None}
    packed = pack_picture(data, row, crop=False, size=size)
    upright = (60, 96) if takes_exif else (96, 60)
    assert (packed["width"], packed["height"]) == tuple(round(side * (size or 60) / 60) for side in upright)
    assert packed["jpeg"][:3] == b"\xff\xd8\xff" and check(packed["jpeg"]) == (packed["width"], packed["height"])
    shown = packed["height"], packed["width"]
    assert np.abs(decode(packed["jpeg"]).astype(int) - decode(data, shown)).mean() < 5
    assert packed["box"] == [round(edge * (size or 60) / 60) for edge in (10, 10, 50, 50)]
    if form == "JPEG":
        assert (packed["jpeg"] == data) == (size is None)

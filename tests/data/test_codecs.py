"""Every format, orientation and odd file that people bring, against Pillow's own answers."""

import io
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fashion.data.codecs import ENDINGS, BadPicture
from fashion.data.decode import check, decode, shrunk
from fashion.data.prepare.pack import pack_picture
from tests.data.drawn import LOSSLESS, LOSSY, by_pillow, difference, encode, garment


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

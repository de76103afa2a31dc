"""A folder of photos as people have them: every format, files that are none, and what a Mac leaves beside them."""

import io

import numpy as np
import pytest
from catalogues import picture
from PIL import Image

from fashion.data.decode import BadPicture
from fashion.errors import InputError
from fashion.retrieval.photos import photo_files, read_photo

PHOTOS = {
    "a.jpg": "JPEG", "b.JPEG": "JPEG", "c.jfif": "JPEG", "d.png": "PNG", "e.webp": "WEBP", "f.avif": "AVIF",
    "g.heic": "HEIF", "h.HEIF": "HEIF", "i.tif": "TIFF", "j.tiff": "TIFF", "k.bmp": "BMP", "l.gif": "GIF",
    "m.heic.jpg": "HEIF", "n.jp2": "JPEG2000",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    import pillow_heif

    pillow_heif.register_heif_opener()
    for name, form in PHOTOS.items():
        picture(3).save(tmp_path / name, form)
    for name in ("._a.jpg", ".DS_Store", "notes.txt", "film.mov", "noending"):
        (tmp_path / name).write_bytes(b"\0\x05\x16\7 no picture")
    (tmp_path / "more.jpg").mkdir()
    return tmp_path


def test_a_folder_gives_its_pictures_and_says_what_it_passed_over(folder):
    found, skipped = photo_files([str(folder)])
    assert [path.name for path in found] == sorted(PHOTOS)
    assert [path.name for path in skipped] == ["film.mov", "more.jpg", "noending", "notes.txt"]
    assert photo_files([str(folder / "a.jpg"), str(folder / "notes.txt")]) == (
        [folder / "a.jpg", folder / "notes.txt"],
        [],
    )


def test_every_one_of_them_is_read(folder):
    for path in photo_files([str(folder)])[0]:
        pixels, small = read_photo(path, None, 32, 40)
        whole = np.asarray(picture(3).resize((32, 32), Image.BILINEAR)).transpose(2, 0, 1)
        assert np.abs(pixels.astype(int) - whole).mean() < (20 if path.suffix == ".gif" else 10), path
        assert small.size == (30, 40)


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "._a.jpg").write_bytes(b"\0")
    with pytest.raises(InputError, match="no pictures in that folder"):
        photo_files([str(tmp_path)])
    with pytest.raises(InputError, match="no such file or folder"):
        photo_files([str(tmp_path / "none.jpg")])


def test_the_box_is_framed_in_the_small_picture_and_cut_out_for_the_network(tmp_path):
    image = Image.new("RGB", (400, 200), "white")
    image.paste((0, 0, 250), (100, 50, 200, 150))
    image.save(tmp_path / "photo.png")
    pixels, small = read_photo(tmp_path / "photo.png", (100, 50, 200, 150), 32, 100)
    assert (pixels == np.array([0, 0, 250])[:, None, None]).all()
    framed = np.asarray(small)
    assert small.size == (100, 50) and framed[13, 25].tolist() == [214, 39, 40] == framed[36, 49].tolist()
    with pytest.raises(InputError, match=r"box: found 500,0,600,9, but photo.png has 400 x 200 pixels"):
        read_photo(tmp_path / "photo.png", (500, 0, 600, 9), 32, 100)


def test_a_photo_that_is_none_says_why(tmp_path):
    out = io.BytesIO()
    picture(3).save(out, "JPEG")
    (tmp_path / "a.jpg").write_bytes(out.getvalue()[:900])
    with pytest.raises(BadPicture, match="truncated"):
        read_photo(tmp_path / "a.jpg", None, 32, 100)

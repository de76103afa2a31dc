import os
import pickle
import unicodedata
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from literal_trees import write_tree

from fashion.data.pictures import folder as pictures
from fashion.data.pictures.folder import Pictures, inside
from fashion.errors import InputError
from fashion.storage import Store

IMAGE = "img/TOPS/T_Shirt/id_00000001/shop_01.jpg"


@pytest.mark.parametrize("root", ["Img/", ""])
def test_pictures_lie_under_img_or_at_the_root(tmp_path, root):
    assert Pictures(write_tree(tmp_path, {f"{root}{IMAGE}": b"one"})).read(IMAGE) == b"one"


def test_where_both_are_there_img_is_taken_every_time(tmp_path):
    source = write_tree(tmp_path, {f"Img/{IMAGE}": b"one", IMAGE: b"other", "img/only.jpg": b"only"})
    found = Pictures(source)
    assert [found.read(name) for name in ("img/only.jpg", IMAGE, "img/only.jpg", IMAGE)] == [b"only", b"one"] * 2


def test_another_folder_takes_the_place_of_the_leading_img(tmp_path):
    high = "Img/img_highres/WOMEN/Dresses/id_00000002/02_1_front.jpg"
    low = "img/WOMEN/Dresses/id_00000002/02_1_front.jpg"
    source = write_tree(tmp_path, {high: b"high", f"Img/{low}": b"low"})
    assert Pictures(source, "Img/img_highres").read(low) == b"high"
    assert Pictures(source, "Img/img_highres/").read("WOMEN/Dresses/id_00000002/02_1_front.jpg") == b"high"
    assert Pictures(source).read(low) == b"low"
    (tmp_path / high).unlink()
    with pytest.raises(FileNotFoundError):  # never the low-resolution one instead: the boxes would not fit
        Pictures(source, "Img/img_highres").read(low)


@pytest.mark.parametrize(
    "on_disk", ["IMG/img/tops/t_shirt/ID_00000001/Shop_01.JPG", "Img/TOPS/T_Shirt/id_00000001/shop_01.JPG"]
)
def test_a_path_whose_case_differs_from_the_disk_is_found(tmp_path, on_disk):
    assert Pictures(write_tree(tmp_path, {on_disk: b"one"})).read(IMAGE) == b"one"


def test_the_exact_case_wins_over_another(tmp_path):
    source = write_tree(tmp_path, {"Img/img/a/X.jpg": b"upper", "Img/img/a/x.jpg": b"lower", "Img/img/A/y.jpg": b"y"})
    found = Pictures(source)
    assert found.read("img/a/x.jpg") == b"lower" and found.read("img/a/X.jpg") == b"upper"
    assert found.read("img/A/Y.jpg") == b"y"
    with pytest.raises(FileNotFoundError):
        found.read("img/a/y2.jpg")


COMPOSED, APART = (unicodedata.normalize(form, "img/Édition d’été/Ångström é.jpg") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("annotated", "on_disk"), [(COMPOSED, APART), (APART, COMPOSED), (COMPOSED, APART.upper())])
@pytest.mark.parametrize("kind", ["local", "s3"])
def test_accents_composed_or_not_are_the_same_name(tmp_path, request, kind, annotated, on_disk):
    """A zip file from a Mac has them apart, and its list may not."""
    source = Store(tmp_path)
    if kind == "s3":
        request.getfixturevalue("s3").create_bucket(Bucket="accents")
        source = Store(f"s3://accents/{uuid.uuid4().hex}")
    source.write(f"Img/{on_disk}", b"one")
    assert Pictures(source).read(annotated) == b"one"
    source.write("Img/img/É/X.jpg", b"upper")
    source.write(f"Img/{unicodedata.normalize('NFD', 'img/É/x.jpg')}", b"lower")
    source.write(f"Img/{annotated}", b"exact")
    assert Pictures(source).read(annotated) == b"exact"
    assert Pictures(source).read("img/É/X.jpg") == b"upper"


def test_the_same_letters_win_over_another_case(tmp_path):
    apart = unicodedata.normalize("NFD", "é.jpg")
    found = Pictures(write_tree(tmp_path, {"img/É.jpg": b"capital", f"img/{apart}": b"small"}))
    assert found.read("img/é.jpg") == b"small" and found.read(unicodedata.normalize("NFD", "img/É.jpg")) == b"capital"


@pytest.mark.parametrize("image", ["img/none.jpg", "img/TOPS", "img/TOPS/T_Shirt/id_00000001/shop_01.jpg/x.jpg"])
def test_what_is_not_there_or_no_file_is_not_found(tmp_path, image):
    source = write_tree(tmp_path, {f"Img/{IMAGE}": b"one"})
    with pytest.raises(FileNotFoundError, match=image):
        Pictures(source).read(image)


@pytest.mark.parametrize(
    "image", ["../secret.jpg", "img/../../secret.jpg", "/etc/passwd", "img\\..\\..\\secret.jpg", "..", "", "img/\0.jpg"]
)
def test_paths_that_try_to_leave_the_root_are_refused(tmp_path, image):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    source = write_tree(tmp_path / "data", {f"Img/{IMAGE}": b"one"})
    for found in (Pictures(source), Pictures(source, "Img/img_highres")):
        with pytest.raises(InputError, match="inside its folder"):
            found.read(image)
    with pytest.raises(InputError, match="inside its folder"):
        inside(image)


def test_links_that_leave_the_root_are_refused_and_links_within_it_followed(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "data-beside").mkdir()
    (tmp_path / "data-beside" / "secret.jpg").write_bytes(b"secret")
    source = write_tree(tmp_path / "data", {f"Img/{IMAGE}": b"one"})
    os.symlink(tmp_path / "secret.jpg", tmp_path / "data/Img/img/file.jpg")
    os.symlink("../../../data-beside", tmp_path / "data/Img/img/folder")
    os.symlink(tmp_path / "data/Img" / IMAGE, tmp_path / "data/Img/img/within.jpg")
    found = Pictures(source)
    for image in ("img/file.jpg", "img/folder/secret.jpg", "img/FILE.jpg", "img/FOLDER/SECRET.jpg"):
        with pytest.raises(InputError, match="a link leads out of"):
            found.read(image)
    assert found.read("img/within.jpg") == b"one"


def test_a_source_that_is_a_link_itself_is_the_root(tmp_path):
    write_tree(tmp_path / "data", {f"Img/{IMAGE}": b"one"})
    os.symlink(tmp_path / "data", tmp_path / "link")
    assert Pictures(Store(tmp_path / "link")).read(IMAGE) == b"one"


def test_it_pickles_as_its_address(tmp_path):
    source = write_tree(tmp_path, {"Img/img_highres/a.jpg": b"one"})
    found = Pictures(source, "Img/img_highres")
    with pytest.raises(FileNotFoundError):
        found.read("img/missing.jpg")  # fills the listings, which are not sent
    again = pickle.loads(pickle.dumps(found))
    assert again.read("img/a.jpg") == b"one" and not again._listings._kept


def test_listings_are_kept_bounded_and_shared_between_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "_NAMES_KEPT", 40)
    names = {f"img/F{i:02d}/P{j}.jpg": f"{i} {j}".encode() for i in range(20) for j in range(5)}
    found = Pictures(write_tree(tmp_path, names))
    asked = [name.lower() for name in names] * 2
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(found.read, asked)) == [*names.values()] * 2
    kept = found._listings._kept
    assert len(kept) == 1 or sum(map(len, kept.values())) <= 40


def test_a_bucket_is_read_like_a_folder(tmp_path, monkeypatch):
    """Over real HTTP: exact paths, another case, what is missing, and paths that leave the prefix."""
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }.items():
            monkeypatch.setenv(name, value)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="shop")
        for key in (f"data/Img/{IMAGE}", "data/img/Loose.JPG", "secret.jpg"):
            s3.put_object(Bucket="shop", Key=key, Body=key.encode())
        found = Pictures(Store("s3://shop/data"))
        assert found.read(IMAGE) == f"data/Img/{IMAGE}".encode()
        assert found.read(IMAGE.replace("TOPS", "Tops")) == f"data/Img/{IMAGE}".encode()
        assert found.read("img/loose.jpg") == b"data/img/Loose.JPG"
        with pytest.raises(FileNotFoundError, match=r"img/none\.jpg"):
            found.read("img/none.jpg")
        with pytest.raises(InputError):
            found.read("../secret.jpg")
    finally:
        server.stop()

"""A customer's photo finds its garment, in a process without Ray; what is wrong is one line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from catalogues import embed_here, embedder, jpeg, make_run, make_table, photos, picture
from PIL import Image

from fashion.errors import InputError
from fashion.retrieval.embeddings import open_catalogue
from fashion.storage import Store
from jobs.cli import parse
from jobs.search import PhotoSearchSettings, job, with_lists

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A catalogue of 8 items, the network it was embedded with, and a customer's photo: the shop photo of id_005."""
    root = tmp_path_factory.mktemp("In-shop Clothes Retrieval Benchmark") / "é日本 #1%20"
    root.mkdir()
    run = make_run(root / "run")
    table = make_table(Store(root / "table"), photos(8))
    embed_here(table, embedder(run), Store(root / "catalogue"))
    (root / "photos").mkdir()
    picture(50).save(root / "photos/upright.png")
    return root


def find(shop, capsys, *arguments):
    """What the job prints: (image, item, score) a line for each photo."""
    given = ["--catalogue", str(shop / "catalogue"), "--run", str(shop / "run"), *map(str, arguments)]
    try:
        job(parse(PhotoSearchSettings, with_lists(given)))
    finally:
        text = capsys.readouterr().out
    blocks = [block.splitlines() for block in text.split("\n\n") if block.strip()]
    return {
        Path(lines[0]).name: [(p[1], p[2], float(p[3])) for p in map(str.split, lines[2:])]
        for lines in blocks
        if not lines[0].startswith("sheet ")
    }


def test_a_photo_finds_its_garment_however_the_camera_was_held(shop, capsys):
    turned = Image.open(shop / "photos/upright.png").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    turned.save(shop / "photos/turned.png", exif=exif)
    turned.save(shop / "photos/wrong.png")
    found = find(shop, capsys, "--image", shop / "photos", "--k", 3)
    assert list(found) == ["turned.png", "upright.png", "wrong.png"]
    assert found["upright.png"] == found["turned.png"] != found["wrong.png"]
    image, item, score = found["upright.png"][0]
    assert (image, item) == ("img/id_005/shop_0.jpg", "id_005") and score > 0.99
    assert len(found["upright.png"]) == 3 and all("shop" in image for image, _, _ in found["upright.png"])
    whole = find(shop, capsys, "--image", shop / "photos/upright.png", "--domain", "any", "--k", 100)
    assert len(whole["upright.png"]) == 24


def test_a_box_is_what_is_searched(shop, capsys):
    wide = Image.new("RGB", (300, 200), "white")
    wide.paste(Image.open(shop / "photos/upright.png"), (100, 50))
    wide.save(shop / "wide.png")
    alone = find(shop, capsys, "--image", shop / "photos/upright.png")["upright.png"]
    boxed = find(shop, capsys, "--image", shop / "wide.png", "--box", "100,50,160,130")["wide.png"]
    assert boxed == alone != find(shop, capsys, "--image", shop / "wide.png")["wide.png"]


def test_the_sheet_shows_photo_and_hits(shop, capsys):
    find(shop, capsys, "--image", shop / "photos/upright.png", "--sheet", shop / "new/sheet.png", "--k", 2)
    sheet = Image.open(shop / "new/sheet.png")
    left, right = (sheet.crop((x, 12, x + 150, 162)) for x in (12, 186))
    query, hit = (np.asarray(image.resize((5, 5), Image.Resampling.BOX)).astype(int) for image in (left, right))
    assert abs(query - hit).max() < 12 and query.std() > 10


def test_the_branch_of_a_dual_network_is_chosen(tmp_path, capsys):
    run = make_run(tmp_path / "run", branches="dual")
    embed_here(make_table(Store(tmp_path / "table"), photos(4)), embedder(run), Store(tmp_path / "catalogue"))
    (tmp_path / "photo.jpg").write_bytes(jpeg(picture(10)))  # the shop photo of id_001, byte for byte
    score = lambda *more: find(tmp_path, capsys, "--image", tmp_path / "photo.jpg", *more)["photo.jpg"][0]  # noqa: E731
    assert score("--query_domain", "shop") == ("img/id_001/shop_0.jpg", "id_001", 1.0)
    assert score()[2] < 1


def test_it_answers_without_ray_and_other_slow_packages(shop):
    arguments = ["--catalogue", shop / "catalogue", "--run", shop / "run", "--image", shop / "photos/upright.png"]
    code = f"""
import sys
from jobs.cli import parse
from jobs.search import PhotoSearchSettings, job, with_lists
from fashion.pipelines import log
log.show()
job(parse(PhotoSearchSettings, with_lists({list(map(str, arguments))!r})))
slow = set(sys.modules) & {{"ray", "torchvision", "pandas", "faiss", "matplotlib", "boto3"}}
assert not slow, slow
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "id_005" in done.stdout and done.stderr == ""


def test_a_bad_photo_is_one_line_and_the_others_are_answered(shop, capsys):
    (shop / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"bad\.jpg: not a picture.*give another photo$"):
        find(shop, capsys, "--image", shop / "bad.jpg")
    done = subprocess.run(
        [
            sys.executable, "jobs/search.py", "--catalogue", shop / "catalogue", "--run", shop / "run",
            "--image", shop / "bad.jpg", shop / "photos/upright.png",
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2 and "id_005" in done.stdout
    assert done.stderr.startswith("error: image: ") and done.stderr.count("\n") == 1


def test_what_a_folder_holds_beside_photos_is_one_line(shop, tmp_path, capsys):
    for name in ("notes.txt", "film.mov", ".DS_Store", "._photo.png"):
        (tmp_path / name).write_bytes(b"no picture")
    picture(50).save(tmp_path / "photo.PNG")
    given = ["--catalogue", str(shop / "catalogue"), "--run", str(shop / "run"), "--image", str(tmp_path)]
    job(parse(PhotoSearchSettings, with_lists(given)))
    told = capsys.readouterr()
    assert told.err == "skipped 2 that are no photos: film.mov, notes.txt\n" and "id_005" in told.out


def test_what_does_not_match_is_refused(shop, tmp_path, capsys):
    make_run(tmp_path / "run", seed=1)
    (tmp_path / "catalogue").symlink_to(shop / "catalogue")
    photo = shop / "photos/upright.png"
    fingerprint = open_catalogue(str(shop / "catalogue")).manifest.network
    with pytest.raises(InputError, match=f"embedded by network {fingerprint}, .*run has [0-9a-f]{{16}}; give the run"):
        find(tmp_path, capsys, "--image", photo)
    other = make_table(Store(tmp_path / "table"), photos(2, seed=7))
    for arguments, said in {
        ("--sheet", tmp_path / "s.jpg", "--data", other.store.uri): f"has fingerprint {other.fingerprint}, the catalog",
        ("--sheet", tmp_path / "s.gif"): "^sheet: found .*s.gif, expected a file ending in .jpg",
        ("--box", "1,2,3"): "^box: found '1,2,3', expected four whole numbers",
        ("--box", "500,500,600,600"): "^box: found 500,500,600,600, but upright.png has 60 x 80 pixels",
        ("--box", "0,0,20,20", "--image", shop / "photos"): "^box: found with .* photos, expected a single one",
        ("--image", shop / "nothing.jpg"): "nothing.jpg: no such file or folder",
        ("--image", shop / "table"): "no pictures in that folder",
    }.items():
        with pytest.raises(InputError, match=said) as found:
            find(shop, capsys, "--image", photo, *arguments)
        assert "\n" not in str(found.value)
    with pytest.raises(InputError, match=r"no finished embeddings; make them with jobs/embed\.py"):
        find(tmp_path / "run", capsys, "--image", photo)


def test_a_catalogue_in_a_bucket(shop, s3, capsys):
    s3.create_bucket(Bucket="search")
    for file in (shop / "catalogue").rglob("*.*"):
        s3.upload_file(str(file), "search", f"catalogue/{file.relative_to(shop / 'catalogue')}")
    photo = ["--image", shop / "photos/upright.png"]
    found = find(shop, capsys, *photo, "--catalogue", "s3://search/catalogue/_manifest.json")
    assert found == find(shop, capsys, *photo)
    with pytest.raises(InputError, match=r"^catalogue: bucket 'nowhere': there is no such bucket"):
        find(shop, capsys, *photo, "--catalogue", "s3://nowhere/catalogue")


def test_several_photos_after_one_flag():
    assert with_lists(["--image", "a b.jpg", "[1].jpg", "--k", "3", "--image=7"]) == [
        "--k", "3", f"--image={json.dumps(['a b.jpg', '[1].jpg', '7'])}",
    ]  # fmt: skip
    assert with_lists(["--k", "3"]) == ["--k", "3"]

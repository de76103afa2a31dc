"""The demo catalogue: drawn by pure functions, laid out as published, colour alone does not solve it."""

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fashion.data.formats.benchmarks import read_annotations
from fashion.demo.catalogue import contact_sheet, write_demo
from fashion.demo.drawing import (
    ATTRIBUTES,
    CATEGORIES,
    attributes,
    consumer_pictures,
    design,
    scenes,
    shop_picture,
    shop_pictures,
)
from fashion.demo.drawing.camera import homography, project, warp
from fashion.errors import InputError
from fashion.storage import Store

ITEMS = 12
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def demos(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("demo")
    roots = {layout: folder / layout for layout in ("consumer-to-shop", "in-shop", "category-attribute")}
    for layout, root in roots.items():
        write_demo(root, layout=layout, items=ITEMS, seed=3, workers=1)
    return roots


def rows(layout: str, root: Path) -> list[dict]:
    """What the parsers read; any warning of theirs fails the test."""
    return pa.Table.from_batches(list(read_annotations(layout, Store(root), warn=pytest.fail))).to_pylist()


def tree(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_picture_depends_on_seed_and_item_alone():
    first = consumer_pictures(design(7, 4))[0]
    random.seed(1)
    np.random.seed(1)
    shop_pictures(design(8, 4))
    again = consumer_pictures(design(7, 4))[0]
    assert np.array_equal(np.asarray(first.image), np.asarray(again.image))
    assert (first.box, first.quality) == (again.box, again.quality)
    for other in (design(7, 5), design(8, 4)):
        assert other != design(7, 4)


def test_the_catalogue_varies_in_everything_but_shares_its_colours():
    garments = [design(0, item) for item in range(400)]
    assert {g.category for g in garments} == set(CATEGORIES)
    assert {name for g in garments for name in attributes(g)} == set(ATTRIBUTES)
    grounds = [g.colour_names[0] for g in garments]
    assert max(map(grounds.count, set(grounds))) >= 40
    looks = {(g.category, g.colour_names, g.pattern, g.motif, g.neck, g.hem, g.trims) for g in garments}
    assert len(looks) == len(garments)


def test_a_warped_dot_lies_where_its_point_is_projected():
    corners = np.array([(0, 0), (100, 0), (100, 80), (0, 80)], float)
    targets = np.array([(12, 9), (140, 22), (118, 131), (4, 96)], float)
    matrix = homography(corners, targets)
    assert np.allclose(project(matrix, corners), targets)
    for x, y in ((20, 15), (70, 60), (50, 33)):
        dot = Image.new("L", (100, 80))
        dot.paste(255, (x - 1, y - 1, x + 2, y + 2))
        found = np.argwhere(np.asarray(warp(dot, matrix, (150, 140))))[:, ::-1].mean(0)
        assert np.abs(found - project(matrix, np.array([(x, y)], float))[0]).max() < 1.5


@pytest.mark.parametrize("item", range(12))
def test_the_box_holds_the_garment(monkeypatch, item):
    monkeypatch.setattr(scenes, "studio", lambda rng, size: Image.new("RGB", size, (0, 255, 0)))
    picture = shop_picture(design(11, item), 0)
    pixels = np.asarray(picture.image, dtype=int)
    left, top, right, bottom = picture.box
    ink = np.argwhere(pixels[..., 1] - np.maximum(pixels[..., 0], pixels[..., 2]) < 75)  # neither ground nor shadow
    ink = ink[ink[:, 0] > top + 0.3 * (bottom - top)]  # above that may be a hanger
    assert abs(ink[:, 0].max() - bottom) <= 2
    assert ink[:, 1].min() >= left - 2
    assert ink[:, 1].max() <= right + 2
    assert np.ptp(ink[:, 1]) >= 0.8 * (right - left)


def test_landmarks_follow_the_type_and_the_picture():
    slots = {1: [0, 1, 2, 3, 6, 7], 2: [4, 5, 6, 7], 3: list(range(8))}
    seen = set()
    for item in range(16):
        garment = design(2, item)
        for picture in [*shop_pictures(garment)[:1], *consumer_pictures(garment)[:2]]:
            visibility, x, y = picture.landmarks.T
            used = slots[picture.clothes_type]
            assert np.flatnonzero(visibility >= 0).tolist() == used
            seen |= set(visibility[used])
            inside = np.flatnonzero((visibility == 0) | (visibility == 1))
            left, top, right, bottom = picture.box
            # A corner point of the garment lies on its box or in it; a seam's width is allowed for.
            assert (x[inside] >= left - 4).all() and (x[inside] <= right + 4).all()
            assert (y[inside] >= top - 4).all() and (y[inside] <= bottom + 4).all()
            if picture.domain == "shop":  # upright: the left slot of each pair is left of the right one
                pairs = [pair for pair in ((0, 1), (2, 3), (4, 5), (6, 7)) if set(pair) <= set(inside)]
                assert pairs and all(x[a] < x[b] for a, b in pairs)
                assert y[used[0]] < y[6]
    assert seen == {0, 1, 2}


def test_consumer_to_shop_reads_back(demos):
    found = rows("consumer-to-shop", demos["consumer-to-shop"])
    by_item = {}
    for row in found:
        by_item.setdefault(row["item"], []).append(row)
    assert len(by_item) == ITEMS
    splits = [photos[0]["split"] for photos in by_item.values()]
    assert [splits.count(split) for split in ("train", "val", "test")] == [7, 1, 4]
    for number, photos in enumerate(by_item.values()):
        garment = design(3, number)
        assert sum(p["domain"] == "shop" for p in photos) in (1, 2)
        assert sum(p["domain"] == "consumer" for p in photos) in (2, 3, 4)
        for photo in photos:
            assert set(photo["attributes"]) == set(attributes(garment))
            assert photo["clothes_type"] == garment.clothes_type
            with Image.open(demos["consumer-to-shop"] / "Img" / photo["image"]) as image:
                x1, y1, x2, y2 = photo["box"]
                assert 0 <= x1 < x2 < image.width and 0 <= y1 < y2 < image.height
                assert image.format == "JPEG" and 200 <= image.width <= 300 and 266 <= image.height <= 300


def test_consumer_to_shop_is_in_the_published_form(demos):
    root = demos["consumer-to-shop"]
    cloth = (root / "Anno/list_attr_cloth.txt").read_bytes()
    assert cloth.startswith(b"\xef\xbb\xbf") and cloth.count(b"\r\n") == cloth.count(b"\n") == len(ATTRIBUTES) + 2
    boxes = (root / "Anno/list_bbox_consumer2shop.txt").read_text().splitlines()
    assert boxes[1] == "image_name clothes_type source_type x_1 y_1 x_2 y_2"
    assert int(boxes[0]) == len(boxes) - 2 == len(list(root.rglob("*.jpg")))
    name, kind, source, *corners = boxes[2].split()
    assert name.startswith("img/") and "/id_00000001/shop_01.jpg" in name
    assert kind in "123" and source == "1" and all(len(corner) == 3 for corner in corners)
    pair = (root / "Eval/list_eval_partition.txt").read_text().splitlines()[2].split()
    assert (
        pair[0].endswith("comsumer_01.jpg") and pair[1].endswith("shop_01.jpg") and pair[2:] == ["id_00000001", "train"]
    )
    for line in (root / "Anno/list_landmarks_consumer2shop.txt").read_text().splitlines()[2:]:
        assert (len(line.split()) - 3) % 3 == 0  # with variation_type


def test_in_shop_reads_back(demos):
    found = rows("in-shop", demos["in-shop"])
    items = {role: {row["item"] for row in found if row["role"] == role} for role in ("query", "gallery", None)}
    assert items["query"] == items["gallery"] and len(items["query"]) == 5
    assert len(items[None]) == 7 and not items[None] & items["query"]
    assert {row["pose"] for row in found} == {1, 2, 3, 4, 6}
    assert all(row["description"] and row["category"].split("/")[0] in ("MEN", "WOMEN") for row in found)


def test_category_attribute_reads_back(demos):
    found = rows("category-attribute", demos["category-attribute"])
    for row in found:
        garment = design(3, (int(row["image"][-12:-4]) - 1) // 8)  # eight numbers are kept for an item
        assert row["category"] == garment.category
        assert set(row["attributes"]) == set(attributes(garment))
    assert {row["split"] for row in found} == {"train", "val", "test"}
    whole = (demos["category-attribute"] / "Anno_coarse/list_landmarks.txt").read_text().splitlines()[2:]
    assert all((len(line.split()) - 2) % 3 == 0 for line in whole)  # without variation_type


def test_the_files_do_not_depend_on_the_number_of_processes(demos, tmp_path):
    told = []
    write_demo(tmp_path / "two", items=ITEMS, seed=3, workers=2, progress=lambda done, of: told.append((done, of)))
    assert tree(tmp_path / "two") == tree(demos["consumer-to-shop"])
    assert told == [(8, ITEMS), (12, ITEMS)]


def test_a_script_without_a_main_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\nfrom fashion.demo.catalogue import write_demo\nprint('here')\n"
        f"write_demo(Path({str(tmp_path / 'demo')!r}), items=9, workers=2)\n"
        "import __main__\nprint(__main__.__file__ == __file__)\n"
    )
    run = subprocess.run(
        [sys.executable, script], cwd=REPOSITORY, env={"PYTHONPATH": "."}, capture_output=True, text=True
    )
    assert run.stdout.split() == ["here", "True"], run.stderr
    assert json.loads((tmp_path / "demo/demo.json").read_text())["items"] == 9


def test_a_finished_catalogue_is_kept_and_another_refused(demos):
    root = demos["in-shop"]
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    write_demo(root, layout="in-shop", items=ITEMS, seed=3, workers=1)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    with pytest.raises(InputError, match="found a demo catalogue"):
        write_demo(root, layout="in-shop", items=ITEMS, seed=4)


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="no demo catalogue"):
        write_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_interrupted_catalogue_leaves_nothing(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_demo(tmp_path / "demo", items=5, workers=1, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"layout": "catwalk"}, "consumer-to-shop"),
        ({"items": 2}, "items 2"),
        ({"seed": -1}, "seed -1"),
        ({"workers": 0}, "workers 0"),
    ],
)
def test_impossible_settings(tmp_path, settings, said):
    with pytest.raises(InputError, match=said):
        write_demo(tmp_path / "demo", **settings)
    assert not (tmp_path / "demo").exists()


def test_colour_alone_does_not_solve_it():
    def histogram(picture):
        left, top, right, bottom = picture.box
        pixels = np.asarray(picture.image.convert("HSV").crop((left, top, right, bottom))).reshape(-1, 3)
        return np.histogramdd(pixels, bins=(12, 4, 4), range=((0, 256),) * 3)[0].ravel() / len(pixels)

    garments = [design(0, item) for item in range(28)]
    gallery = np.stack([histogram(shop_picture(garment, 0)) for garment in garments])
    hits = [
        np.minimum(gallery, histogram(picture)).sum(1).argmax() == item
        for item, garment in enumerate(garments)
        for picture in consumer_pictures(garment)[:2]
    ]
    assert np.mean(hits) < 0.35  # of 28; over 128 items it is 0.09


def test_drawing_needs_no_heavy_library():
    code = (
        "import sys, fashion.demo.catalogue; print([m for m in ('torch', 'ray', 'pyarrow', 'cv2') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_contact_sheet_shows_the_photos():
    sheet = np.asarray(contact_sheet(3, range(2), columns=1))
    photo = shop_pictures(design(3, 1))[0].image.copy()
    photo.thumbnail((146, 150))
    assert np.array_equal(sheet[156 : 156 + photo.height, : photo.width], np.asarray(photo))

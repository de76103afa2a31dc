"""A photo with several garments: a row each, with an id that is no other's, in every format."""

import io
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from literal_trees import read_rows, write_tree
from PIL import Image
from test_consumer2shop import DRESS, FILES, ONE, RED
from test_inshop import FILES as INSHOP
from test_inshop import QUERY

from fashion.data.formats.benchmarks import read_annotations
from fashion.data.pictures.folder import Pictures
from fashion.data.prepare.garments import garment_id, name_garments, pairs_to_ids, picture_of, together
from fashion.data.prepare.pack import pack_shard
from fashion.data.prepare.shards import cut_shards
from fashion.data.prepare.spread import spread
from fashion.data.schema import ANNOTATIONS

LEFT, RIGHT = [0, 0, 40, 60], [40, 0, 80, 60]


def row(image, item, box=None, domain="shop", split="train", **more):
    return {"image": image, "item": item, "box": box, "domain": domain, "split": split, **more}


def table(*rows):
    return pa.Table.from_pylist(list(rows), ANNOTATIONS)


def plan(rows, **options):
    """All rows of the planned shards, and the notes."""
    notes: list[str] = []
    options = {"holdout": 0.0, "seed": 0, "warn": notes.append} | options
    batches = table(*rows).to_batches(max_chunksize=7)
    return [r for shard in cut_shards(spread(batches, **options), 50) for r in shard.rows.to_pylist()], notes


NAMES = st.text("ab#12.é", min_size=1, max_size=6)


@given(pictures=st.lists(NAMES, unique=True), number=st.integers(1, 40), other=st.integers(1, 40))
def test_no_two_garments_share_an_id_and_the_picture_is_found_from_it(pictures, number, other):
    """Though a file may be called a.jpg#2."""
    ids = {garment_id(picture, n) for picture in pictures for n in (number, other)}
    assert len(ids) == len(pictures) * len({number, other})
    assert all(picture_of(garment_id(picture, number)) == picture for picture in pictures)


BOXES = st.sampled_from([None, LEFT, RIGHT])
ROWS = st.lists(
    st.builds(row, st.sampled_from(["a", "a#2", "b"]), st.sampled_from(["x", "y", "z"]), BOXES), max_size=12
)


@settings(deadline=None)
@given(rows=ROWS, order=st.randoms())
def test_rows_are_distinct_garments_whatever_their_order(rows, order):
    def named(rows):
        found = name_garments(table(*rows)).rows.to_pylist()
        named = {(r["image"], r["item"], tuple(r["box"] or ())) for r in found}
        assert len({image for image, _, _ in named}) == len(named)
        return named

    expected = {(r["image"], r["item"], tuple(r["box"] or ())) for r in rows}
    found = named(rows)
    assert {(picture_of(image), item, box) for image, item, box in found} == expected
    order.shuffle(rows)
    assert named(rows) == found


def test_the_usual_picture_keeps_its_name_and_a_row_said_twice_is_one():
    rows = [row("a.jpg", "shirt", LEFT), row("b.jpg", "hat"), row("a.jpg", "skirt", RIGHT), row("b.jpg", "hat"),
            row("a.jpg", "shirt", RIGHT)]  # fmt: skip
    found = name_garments(table(*rows))
    assert [(r["image"], r["item"], r["box"]) for r in found.rows.to_pylist()] == [
        ("a.jpg", "shirt", LEFT), ("b.jpg", "hat", None), ("a.jpg#3", "skirt", RIGHT), ("b.jpg", "hat", None),
        ("a.jpg#2", "shirt", RIGHT),
    ]  # fmt: skip
    assert found.several == 1 and not found.shared and found.linked == [["shirt", "skirt"]]
    kept, notes = plan(rows)
    assert sorted(r["image"] for r in kept) == ["a.jpg", "a.jpg#2", "a.jpg#3", "b.jpg"]
    assert notes[0].startswith("1 photos show several garments") and notes[1].startswith("1 rows repeat an image")


def test_rows_of_a_garment_that_contradict_each_other_are_rejected_and_other_garments_are_not():
    rejected = []
    rows = [row("a.jpg", "shirt", LEFT, category="Tops"), row("a.jpg", "shirt", LEFT, domain="consumer"),
            row("a.jpg", "shirt", RIGHT, category="Dresses"), row("a.jpg", "skirt", category="Skirts")]  # fmt: skip
    kept, _ = plan(rows, reject=lambda row, reason: rejected.append((row["image"], reason)))
    assert {(r["image"], r["category"]) for r in kept} == {("a.jpg#2", "Dresses"), ("a.jpg#3", "Skirts")}
    assert [image for image, _ in rejected] == ["a.jpg", "a.jpg"] and "domain consumer and shop" in rejected[0][1]


def test_a_photo_of_items_in_two_splits_is_said():
    rows = [row("a.jpg", "shirt"), row("a.jpg", "skirt", RIGHT, split="test")]
    _, notes = plan(rows)
    assert notes[-1].startswith(
        "1 photos show items of different splits: a.jpg: shirt in train, skirt in test; give these"
    )


@pytest.mark.parametrize("slot_images", [10**6, 40])
def test_held_out_items_take_along_those_that_share_their_photos(slot_images):
    rows = [row(f"{i}.jpg", f"id_{i}") for i in range(120)] + [
        row(f"{i}.jpg", f"id_{i + 1}", RIGHT) for i in range(0, 90, 3)
    ]
    kept, notes = plan(rows, holdout=0.3, slot_images=slot_images)
    splits = {}
    for r in kept:
        splits.setdefault(picture_of(r["image"]), set()).add(r["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert len(kept) == 150 and 10 < sum(found == {"val"} for found in splits.values()) < 60
    assert any(note.startswith("30 photos show several garments") for note in notes)
    assert sorted((r["image"], r["item"]) for r in kept) == sorted((r["image"], r["item"]) for r in plan(rows)[0])


def test_linked_items_are_found_through_others():
    assert together([["b", "a"], ["c", "d"], ["d", "b"], ["x", "y"]]) == {
        **dict.fromkeys("abcd", "a"),
        "x": "x",
        "y": "x",
    }


def test_pairs_name_the_garments_of_the_item():
    rows = table(row("shop", "x"), row("shop#2", "y"), row("shop#3", "y"), row("street", "y", pairs=["shop", "gone"]))
    assert pairs_to_ids(rows)["pairs"].to_pylist() == [None, None, None, ["shop#2", "shop#3", "gone"]]


def picture_bytes() -> bytes:
    """Red on the left, blue on the right."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:, :40, 0], pixels[:, 40:, 2] = 250, 250
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


MANIFEST = """image,item,domain,box
look.png,shirt,consumer,0 0 40 60
look.png,skirt,consumer,40 0 80 60
look.png,skirt,consumer,40 0 80 60
shirt.png,shirt,shop,
skirt.png,skirt,shop,
"""


def test_every_garment_of_a_manifest_is_packed_from_its_own_box(tmp_path):
    names = ("look.png", "shirt.png", "skirt.png")
    source = write_tree(tmp_path, {"mine.csv": MANIFEST, **dict.fromkeys(names, picture_bytes())})
    batches = read_annotations("manifest", source, warn=print)
    (shard,) = cut_shards(spread(batches, holdout=0.0, seed=0), 50)
    packed = pack_shard(shard.rows, Pictures(source), crop=True, size=None)
    held = {image["image"]: (item["item"], image) for item in packed.items.to_pylist() for image in item["images"]}
    assert {name: item for name, (item, _) in held.items()} == {
        "look.png": "shirt", "look.png#2": "skirt", "shirt.png": "shirt", "skirt.png": "skirt",
    }  # fmt: skip
    for name, colour in {"look.png": 0, "look.png#2": 2}.items():
        pixels = np.asarray(Image.open(io.BytesIO(held[name][1]["jpeg"])))
        assert pixels.shape == (60, 40, 3) and pixels[30, 20].argmax() == colour


def test_a_consumer_to_shop_photo_of_two_items_is_a_row_each_with_its_own_box(tmp_path):
    """The file's first box of the photo is the first item's; and a pair is of the item's garment alone."""
    pairs = FILES["Eval/list_eval_partition.txt"] + f"{ONE} {DRESS} id_00033886 train\n"
    boxes = FILES["Anno/list_bbox_consumer2shop.txt"] + f"{ONE} 3 2 100 110 120 130\n"
    files = {**FILES, "Eval/list_eval_partition.txt": pairs, "Anno/list_bbox_consumer2shop.txt": boxes}
    rows, warnings = read_rows("consumer-to-shop", write_tree(tmp_path, files), several=True)
    told = [(r["item"], r["box"], r["pairs"], r["attributes"]) for r in rows[ONE]]
    assert told == [
        ("id_00000001", [52, 60, 200, 220], [RED, RED.replace("01.jpg", "02.jpg")], ["Solid color", "Long"]),
        ("id_00033886", [100, 110, 120, 130], [DRESS], []),
    ]
    assert not any("repeat" in warning for warning in warnings)
    every = [r for found in rows.values() for r in found]
    kept, _ = plan(every)
    assert Counter(picture_of(r["image"]) for r in kept) == Counter(r["image"] for r in every)


def test_an_in_shop_photo_of_two_items_is_a_row_each(tmp_path):
    partition = INSHOP["Eval/list_eval_partition.txt"] + f"{QUERY} id_00000007 query\n{QUERY} id_00000009 query\n"
    source = write_tree(tmp_path, {**INSHOP, "Eval/list_eval_partition.txt": partition})
    rows, warnings = read_rows("in-shop", source, several=True)
    assert [r["item"] for r in rows[QUERY]] == ["id_00000009", "id_00000007"]
    assert [r["box"] for r in rows[QUERY]] == [[300, 300, 999, 999]] * 2  # the file has one of it
    assert any(f"1 rows repeat an image and its item; the first row is used: {QUERY}" in w for w in warnings)

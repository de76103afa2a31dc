"""The item table from real files, through S3: what is in it, what is set aside, and what a rerun does."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fashion.data.prepare.pack import ShardPacker, pack_picture
from fashion.data.prepare.run import TooManyBadPictures, prepare
from fashion.data.settings import TableSettings
from fashion.data.table import ItemTable
from fashion.demo.catalogue import write_demo
from fashion.demo.drawing import ATTRIBUTES
from fashion.errors import InputError
from fashion.storage import Store

ITEMS = 30


def quiet(source, out, settings, **options):
    notes = []
    table = prepare(source, out, settings, warn=notes.append, progress=lambda *_: None, **options)
    return table, notes


def in_process(work, source, out, settings, cpus):
    """What the tasks do, without Ray."""
    for shard, drop in work:
        yield shard.name, ShardPacker(source, out, settings).pack(shard, drop)


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr("fashion.data.prepare.run._packed", in_process)


def rows_of(table):
    shards = table.manifest.shards
    return {row["image"]: row for s in shards for row in table.image_rows(s.name).to_pylist()}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "catalogue"
    write_demo(root, items=ITEMS, seed=1, workers=1)
    return root


@pytest.fixture(scope="module")
def in_bucket(catalogue, s3):
    """The catalogue in a bucket, with one picture truncated and one missing."""
    s3.create_bucket(Bucket="fashion")
    pictures = sorted((catalogue / "Img").rglob("comsumer_*.jpg"))
    for path in catalogue.rglob("*"):
        if path.is_file() and path != pictures[0]:
            data = path.read_bytes()
            data = data[: len(data) // 2] if path == pictures[5] else data
            s3.put_object(Bucket="fashion", Key=f"source/{path.relative_to(catalogue)}", Body=data)
    return Store("s3://fashion/source"), [
        p.relative_to(catalogue / "Img").as_posix() for p in (pictures[0], pictures[5])
    ]


@pytest.fixture(scope="module")
def table(in_bucket, ray_running):
    settings = TableSettings(shard_images=40)
    return quiet(in_bucket[0], Store("s3://fashion/table"), settings)[0]


def test_every_picture_is_in_the_table_or_in_quarantine(catalogue, in_bucket, table):
    _, bad = in_bucket
    rows = rows_of(table)
    listed = {p.relative_to(catalogue / "Img").as_posix() for p in (catalogue / "Img").rglob("*.jpg")}
    assert listed - set(rows) == set(bad) and table.manifest.counts["bad"] == 2
    kept = [image for image in rows if image not in bad]
    for image in kept[:20]:
        assert rows[image]["jpeg"] == (catalogue / "Img" / image).read_bytes()  # nothing asked: the bytes as they are
    quarantined = [
        row
        for name in table.store.names("quarantine", recursive=True)
        for row in table.store.read_table(name).to_pylist()
    ]
    reasons = {row["image"]: row["reason"] for row in quarantined}
    assert set(reasons) == set(bad) and reasons[bad[0]] == "the file is not there" and reasons[bad[1]]


def test_shards_hold_whole_items_and_can_be_read_without_ray(table):
    items = [row for s in table.manifest.shards for row in table.read(s.name, columns=["item"])["item"].to_pylist()]
    assert len(items) == len(set(items)) == ITEMS
    assert {s.split for s in table.manifest.shards} == {"train", "val", "test"}
    assert sum(s.images for s in table.manifest.shards) == table.manifest.counts["images"]
    assert len(table.shards("train")) > 1


def test_groups_read_at_once_come_in_the_order_asked_for(table):
    groups = [(shard.name, i) for shard in table.shards("train", "test") for i in range(len(shard.groups))] * 3
    rows = table.read_groups(groups[::-1], ["item"])
    assert len(groups) > 6 and [r.to_pylist() for r in rows] == [
        table.read(*g, ["item"]).to_pylist() for g in groups[::-1]
    ]


def test_the_manifest_counts_labels_of_every_annotated_image_and_names_every_attribute(catalogue, table):
    shots = len(list((catalogue / "Img").rglob("*.jpg")))
    labels = table.manifest.labels
    for name in ("images", "category", "attributes", "landmarks"):
        assert sum(getattr(row, name) for row in labels.values()) == shots  # before pictures are looked at
    assert table.manifest.attributes == sorted(ATTRIBUTES)
    assert set(table.manifest.attribute_types.values()) == {"texture", "fabric", "shape", "part", "style"}
    counts = table.manifest.attribute_counts
    assert set(counts) == set(ATTRIBUTES) and 0 < max(counts.values()) <= labels["train"].images


def test_a_rerun_changes_nothing_and_other_settings_are_refused(in_bucket, table, here, s3):
    stamps = lambda: {o["Key"]: o["LastModified"] for o in s3.list_objects_v2(Bucket="fashion")["Contents"]}  # noqa: E731
    before = stamps()
    again, _ = quiet(in_bucket[0], table.store, TableSettings(shard_images=40))
    assert again.fingerprint == table.fingerprint and stamps() == before
    with pytest.raises(InputError, match="made with size None, and 64 was asked for"):
        quiet(in_bucket[0], table.store, TableSettings(shard_images=40, size=64))


def test_an_interrupted_job_packs_only_what_is_missing(in_bucket, table, monkeypatch):
    out = Store("s3://fashion/broken")
    calls = []

    def one_then_crash(work, source, out, settings, cpus):
        calls.append(len(work))
        yield next(in_process(work, source, out, settings, cpus))
        raise KeyboardInterrupt

    monkeypatch.setattr("fashion.data.prepare.run._packed", one_then_crash)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            quiet(in_bucket[0], out, TableSettings(shard_images=40))
        assert not out.exists("manifest.json")
        with pytest.raises(InputError, match="no finished item table"):
            _ = ItemTable(out).manifest
    assert calls[0] - calls[1] <= 1  # the second run left the finished shard alone, unless some of its pictures are bad
    monkeypatch.setattr("fashion.data.prepare.run._packed", in_process)
    finished, _ = quiet(in_bucket[0], out, TableSettings(shard_images=40))
    assert finished.fingerprint == table.fingerprint and not out.exists("plan/plan.json")


def test_too_many_bad_pictures_fail_the_job_and_are_named(in_bucket, here):
    out = Store("s3://fashion/strict")
    with pytest.raises(TooManyBadPictures, match=r"2 of \d+ pictures cannot be used .*the file is not there"):
        quiet(in_bucket[0], out, TableSettings(bad_fraction=0.0))
    assert not out.exists("manifest.json")


def test_a_manifest_of_ones_own_is_enough(tmp_path, catalogue, here):
    images = sorted(p.relative_to(catalogue / "Img").as_posix() for p in (catalogue / "Img").rglob("*.jpg"))
    lines = ["image,item,domain"]
    lines += [f"Img/{i},{i.split('/')[-2]},{'consumer' if 'comsumer' in i else 'shop'}" for i in images]
    (tmp_path / "own.csv").write_text("\n".join(lines))
    (tmp_path / "Img").symlink_to(catalogue / "Img")
    source = tmp_path / "source"
    source.mkdir()
    (source / "own.csv").write_text("\n".join(lines))
    for image in images:
        target = source / "Img" / image
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((catalogue / "Img" / image).read_bytes())
    table, _ = quiet(Store(source), Store(tmp_path / "out"), TableSettings(benchmark="manifest", holdout=0.3))
    assert table.manifest.counts["images"] == len(images)
    assert set(table.manifest.splits) == {"train", "val", "test"}
    assert table.manifest.domains == ["consumer", "shop"]


def jpeg(width=100, height=80):
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[:, :, 0] = np.linspace(0, 255, width)
    ramp[:, :, 1] = np.linspace(0, 255, height)[:, None]
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def row(**values):
    return {"image": "a.jpg", "split": "train", "box": None, "landmarks": None} | values


def test_crop_and_size_move_boxes_and_landmarks_with_the_pixels():
    landmarks = [0.0, 30.0, 20.0] + [-1.0, 0.0, 0.0] * 7
    packed = pack_picture(jpeg(), row(box=[20, 10, 80, 70], landmarks=landmarks), crop=True, size=30)
    assert (packed["width"], packed["height"], packed["box"]) == (30, 30, None)
    assert packed["landmarks"][:3] == [0.0, 5.0, 5.0] and packed["landmarks"][3:6] == [-1.0, 0.0, 0.0]
    pixels = np.asarray(Image.open(io.BytesIO(packed["jpeg"])).convert("RGB")).astype(int)
    assert abs(pixels[15, 15, 0] - 127) < 8 and abs(pixels[15, 0, 0] - 52) < 8  # columns 50 and 20 of 100
    shrunk = pack_picture(jpeg(), row(box=[20, 10, 80, 70]), crop=False, size=40)
    assert (shrunk["width"], shrunk["height"], shrunk["box"]) == (50, 40, [10, 5, 40, 35])
    assert pack_picture(jpeg(), row(), crop=True, size=200)["jpeg"] == jpeg()  # never enlarged, never written anew


def test_annotation_of_another_resolution_is_scaled():
    packed = pack_picture(jpeg(200, 160), row(box=[20, 10, 80, 70]), crop=True, size=None, annotated_size=(100, 80))
    assert (packed["width"], packed["height"]) == (120, 120)


def test_item_table_is_plain_parquet(table):
    with table.store.open(f"items/{table.shards('train')[0].name}.parquet") as file:
        schema = pq.read_schema(file)
    assert schema.field("item").type == pa.string() and pa.types.is_list(schema.field("images").type)

"""Embeddings of a table: what the network says of each picture, each once, whatever happens on the way."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import torch
from catalogues import changed, embed_here, embedder, jpeg, make_run, make_table, photos, picture

from fashion.data.decode import decode
from fashion.domain import DOMAINS
from fashion.errors import InputError
from fashion.networks.files import load_network
from fashion.retrieval.carry import Earlier
from fashion.retrieval.embed import EmbedResources, decide_embed_resources, embed
from fashion.retrieval.embedder import Embedder
from fashion.retrieval.embeddings import Catalogue, CatalogueManifest, open_catalogue, read_embeddings
from fashion.retrieval.index.files import build_part
from fashion.retrieval.settings import EmbedSettings
from fashion.storage import Store
from fashion.training.checkpoint import NETWORK, checkpoints

KEPT = ["item", "image", "embedding"]
ROOT = Path(__file__).resolve().parent.parent.parent


def held(out: Store) -> dict[tuple[str, str], np.ndarray]:
    """(item, image) -> embedding of every row of a catalogue, which must have each once."""
    _, manifest = open_catalogue(out.uri)
    found = read_embeddings(out, [row.name for row in manifest.shards])
    keys = list(zip(found.column("item"), found.column("image"), strict=True))
    assert len(set(keys)) == len(keys) == manifest.images
    return dict(zip(keys, found.vectors["embedding"], strict=True))


def same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    np.testing.assert_allclose([a[key] for key in a], [b[key] for key in a], atol=1e-5)


@pytest.mark.parametrize(("crop", "branches"), [("whole", "dual"), ("box", "shared")])
def test_every_row_is_what_the_network_says_of_its_picture_alone(tmp_path, crop, branches):
    rows = photos(9)
    run = make_run(tmp_path / "run", crop=crop, branches=branches)
    table = make_table(Store(tmp_path / "table"), rows)
    embed_here(table, embedder(run, batch=5), Store(tmp_path / "out"))
    network, _ = load_network(checkpoints(run)[0].store, NETWORK)
    network.eval()
    expected = {}
    for row in rows:
        pixels = decode(row.jpeg, size=(32, 32), box=row.box if crop == "box" else None)
        with torch.inference_mode():
            z = network(torch.from_numpy(pixels[None]), torch.tensor([DOMAINS.index(row.domain)]))
        expected[row.item, row.image] = z[0].numpy()
    same(held(Store(tmp_path / "out")), expected)


def test_shards_are_plain_parquet_that_say_what_they_are_of(tmp_path):
    run = make_run(tmp_path / "run")
    table = make_table(Store(tmp_path / "table"), photos(4))
    embed_here(table, embedder(run, dtype="float16"), Store(tmp_path / "half"))
    embed_here(table, embedder(run), Store(tmp_path / "whole"))
    embed_here(table, embedder(run, precision="bf16"), Store(tmp_path / "bf16"))
    schema = pq.read_schema(tmp_path / "half/test/shard-00000.parquet")
    assert str(schema.field("embedding").type) == "fixed_size_list<element: halffloat>[16]"
    assert checkpoints(run)[0].fingerprint in schema.metadata[b"identity"].decode()
    whole, half, bf16 = (held(Store(tmp_path / name)) for name in ("whole", "half", "bf16"))
    for key, z in whole.items():
        np.testing.assert_array_equal(half[key], z.astype(np.float16).astype(np.float32))
        assert bf16[key] @ z == pytest.approx(1, abs=2e-3) and (bf16[key] != z).any()


def test_a_picture_that_cannot_be_decoded_is_listed_and_changes_nothing_else(tmp_path):
    rows = photos(6)
    broken = rows[4]
    run = make_run(tmp_path / "run")
    embed_here(make_table(Store(tmp_path / "table"), rows), embedder(run), Store(tmp_path / "out"))
    rows = changed(rows, broken.image, jpeg=broken.jpeg[: len(broken.jpeg) // 2])
    manifest = embed_here(make_table(Store(tmp_path / "table2"), rows), embedder(run), Store(tmp_path / "out2"))
    expected = held(Store(tmp_path / "out"))
    del expected[broken.item, broken.image]
    same(held(Store(tmp_path / "out2")), expected)
    assert (manifest.images, manifest.unreadable) == (17, 1)
    listed = pq.read_table(tmp_path / "out2/_quarantine").to_pylist()
    assert [(row["item"], row["image"], row["reason"]) for row in listed] == [(broken.item, broken.image, "truncated")]


def test_a_shard_without_any_readable_picture_is_empty_and_not_an_error(tmp_path):
    rows = [replace(row, jpeg=b"\xff\xd8\xff nothing") for row in photos(1)]
    out = Store(tmp_path / "out")
    manifest = embed_here(
        make_table(Store(tmp_path / "table"), rows, shards=1), embedder(make_run(tmp_path / "run")), out
    )
    assert (manifest.images, manifest.unreadable, manifest.dimension) == (0, 3, 16)
    assert held(out) == {}
    assert read_embeddings(out, ["test/shard-00000"]).vectors["embedding"].shape == (0, 16)


def test_the_manifest_is_written_as_ever_and_read_and_written_again_the_same(tmp_path):
    out = Store(tmp_path / "out")
    table = make_table(Store(tmp_path / "table"), photos(4))
    manifest = embed_here(table, embedder(make_run(tmp_path / "run")), out)
    assert list(out.read_json("_manifest.json")) == [
        "kind", "format", "network", "data", "transform", "precision", "dtype", "baselines", "dimension", "images",
        "carried", "unreadable", "shards", "data_uri", "versions", "created",
    ]  # fmt: skip
    before = out.read("_manifest.json")
    assert out.read_value("_manifest.json", CatalogueManifest) == manifest
    out.write_value("_manifest.json", manifest)
    assert out.read("_manifest.json") == before


def test_plain_readers_of_a_folder_find_the_embeddings_and_nothing_else(tmp_path):
    """With shards of two splits, a picture set aside, and an index beside them."""
    rows = photos(9, splits=("test", "test", "train"))
    rows = changed(rows, rows[4].image, jpeg=b"\xff\xd8\xff nothing")
    out = Store(tmp_path / "é #1")
    table = make_table(Store(tmp_path / "table"), rows)
    manifest = embed_here(table, embedder(make_run(tmp_path / "run")), out, splits=("test", "train"))
    build_part(Catalogue(out, manifest), 0, [row.name for row in manifest.shards], {"kind": "flat", "domain": "any"})
    expected = held(out)
    for found in (
        ds.dataset(out.path).to_table(),
        pa.Table.from_pandas(pd.read_parquet(out.path)),
        pq.read_table(out.path),
    ):
        read = {(row["item"], row["image"]): row["embedding"] for row in found.select(KEPT).to_pylist()}
        assert len(found) == len(read) == len(expected) == 26
        same(read, expected)
    assert pd.read_parquet(f"{out.path}/test")["item"].nunique() == 6


class Fails(Store):
    """Storage that fails at the n-th write: before it, or with the file written."""

    def __init__(self, uri, left, written):
        super().__init__(uri)
        self.left, self.written = left, written

    def write(self, name, *data):
        self.left -= 1
        if self.left or self.written:
            super().write(name, *data)
        if not self.left:
            raise OSError("injected")


@pytest.mark.parametrize("written", [False, True])
def test_a_fault_at_any_write_loses_no_row_and_doubles_none(tmp_path, written):
    rows = photos(6)
    rows = changed(rows, rows[3].image, jpeg=b"broken")
    run, table = make_run(tmp_path / "run"), make_table(Store(tmp_path / "table"), rows)
    embed_here(table, embedder(run), Store(tmp_path / "whole"))
    expected = held(Store(tmp_path / "whole"))
    writes = 7  # identity; embeddings and stats of two shards, a quarantine of one; manifest
    for at in range(1, writes + 2):
        out = tmp_path / f"out{at}"
        if at <= writes:
            with pytest.raises(OSError, match="injected"):
                embed_here(table, embedder(run), Fails(out, at, written))
        embed_here(table, embedder(run), Store(out))
        same(held(Store(out)), expected)


def test_of_an_earlier_catalogue_only_what_changed_is_embedded(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", crop="box", branches="dual")
    before = photos(12)
    first = embedder(run, batch=4)
    embed_here(make_table(Store(tmp_path / "monday"), before), first, Store(tmp_path / "old"))
    rows = [row for row in before if row.item != "id_002"] + photos(3, seed=500)[6:]  # one item goes, another comes
    rows = [replace(row, item="id_new") if row.item == "id_002" else row for row in rows]
    rows = changed(rows, "img/id_003/shop_0.jpg", box=(5, 5, 40, 40))
    rows = changed(rows, "img/id_004/shop_0.jpg", box=(5, 5, 40, 40), jpeg=jpeg(picture(999)))
    rows = changed(rows, "img/id_005/consumer_1.jpg", domain="shop")
    rows = changed(rows, "img/id_006/consumer_1.jpg", image="img/id_006/renamed.jpg", split="train")
    table = make_table(Store(tmp_path / "tuesday"), rows, shards=3)
    splits = ("test", "train")
    embed_here(table, first, Store(tmp_path / "scratch"), splits=splits)
    earlier = Earlier(Store(tmp_path / "old"), ["test/shard-00000", "test/shard-00001"])
    seen = []
    show = Embedder.decode
    monkeypatch.setattr(Embedder, "decode", lambda self, jpeg, box: seen.append(jpeg) or show(self, jpeg, box))
    manifest = embed_here(table, first, Store(tmp_path / "new"), earlier=earlier, splits=splits)
    same(held(Store(tmp_path / "new")), held(Store(tmp_path / "scratch")))
    assert len(seen) == 3 + 1 + 1 + 1  # the new item's photos, a box, a picture, a domain; not the new name
    assert manifest.carried == len(rows) - len(seen) and manifest.images == len(rows)
    old, new = held(Store(tmp_path / "old")), held(Store(tmp_path / "new"))
    kept = ("id_007", "img/id_007/shop_0.jpg")
    np.testing.assert_array_equal(new[kept], old[kept])


def test_actors_follow_the_cluster():
    decide = lambda nodes, **settings: decide_embed_resources(nodes, EmbedSettings(**settings))  # noqa: E731
    of = lambda *values: EmbedResources(**dict(zip(("actors", "cpus", "gpus", "threads"), values, strict=True)))  # noqa: E731
    assert decide([(4, 0)]) == of(1, 3.0, 0.0, 4)
    assert decide([(0, 0), (16, 0), (16, 0)]) == of(2, 9.0, 0.0, 16)  # a head without CPUs; no machine gets two
    assert decide([(16, 0), (16, 0)], actors=4, threads=3) == of(4, 4.0, 0.0, 3)
    assert decide([(0, 0), (32, 4), (32, 4)]) == of(8, 4.0, 1.0, 8)
    assert decide([(32, 2)], actors=4) == of(4, 4.0, 0.5, 8)
    assert decide([(32, 2)], actors=3) == of(3, 4.0, 0.5, 8)  # shares that fit: a third actor needs half a GPU
    assert decide([(0, 0)]) == of(1, 1.0, 0.0, 1)  # workers are yet to come


@pytest.fixture(scope="module")
def bucket(s3):
    s3.create_bucket(Bucket="embedded")
    return "s3://embedded"


def test_the_pool_writes_the_same_as_one_process_and_a_second_time_nothing(tmp_path, ray_running, s3, bucket):
    run = make_run(tmp_path / "run")
    table = make_table(Store(f"{bucket}/table"), photos(12, splits=("test", "train")))
    out, steps = Store(f"{bucket}/out"), []
    pool = EmbedSettings(actors=2, threads=1)

    def embedded(*splits, network=run, into=out, **options):
        return embed(
            table, table.shards(*splits), embedder(network), into, pool,
            progress=lambda done, total: steps.append((done, total)), **options,
        )  # fmt: skip

    part = make_table(Store(tmp_path / "part"), photos(4, splits=("test", "train")))
    embed_here(part, embedder(run), Store(tmp_path / "earlier"), splits=("train",))
    embed_here(table, embedder(run), out)
    manifest = embedded("train", since=open_catalogue(str(tmp_path / "earlier/_manifest.json")))
    assert steps[0] == (0, 18) and steps[-1] == (18, 18) and manifest.carried == 6
    assert [row.name for row in manifest.shards] == [f"{s}/shard-0000{i}" for s in ("test", "train") for i in (0, 1)]
    assert manifest.images == 36 and embedded("test") == manifest
    embed_here(table, embedder(run), Store(tmp_path / "here"), splits=("test", "train"))
    same(held(out), held(Store(tmp_path / "here")))

    def files():
        return {o["Key"]: o["LastModified"] for o in s3.list_objects_v2(Bucket="embedded", Prefix="out")["Contents"]}

    before = files()
    assert embedded("test", "train") == manifest and files() == before

    other = make_run(tmp_path / "other", seed=1)
    both = ".*".join(sorted(checkpoints(r)[0].fingerprint for r in (run, other)))
    for refused in ({"into": out}, {"into": Store(f"{bucket}/third"), "since": open_catalogue(out.uri)}):
        with pytest.raises(InputError, match=f"{both}|{'.*'.join(both.split('.*')[::-1])}"):
            embedded("test", network=other, **refused)


def test_a_killed_job_and_the_same_command_again(tmp_path):
    """kill -9 while shards are being embedded; then the same command, which also builds the indexes."""
    rows = photos(60)
    run, table = make_run(tmp_path / "run"), make_table(Store(tmp_path / "table"), rows, shards=60)
    out = tmp_path / "out"
    command = [sys.executable, "jobs/embed.py", "--data", table.store.uri, "--run", run.uri, "--out", str(out)]
    job = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 120
        while not list(out.glob("_stats/test/*.json")):
            assert job.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        os.kill(job.pid, signal.SIGKILL)
        job.wait()
    assert not (out / "_manifest.json").exists()
    done = subprocess.run([*command, "--index", "flat"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == ""
    assert "180 images in 60 shards" in done.stdout and "flat" in done.stdout
    embed_here(table, embedder(run), Store(tmp_path / "here"))
    same(held(Store(out)), held(Store(tmp_path / "here")))

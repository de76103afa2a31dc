"""Indexes for serving: what they find against brute force, and that none is taken for another version's."""

import numpy as np
import pyarrow as pa
import pytest
from catalogues import make_catalogue

from fashion.errors import InputError
from fashion.retrieval.embeddings import MANIFEST, open_catalogue
from fashion.retrieval.index.files import build_part, load_part, open_index, plan_parts, write_index_manifest
from fashion.retrieval.index.kinds import LEAST, agreement, merge, search
from fashion.retrieval.index.report import compare_indexes, sample_queries
from fashion.retrieval.settings import KINDS, AnnSettings
from fashion.storage import Store

D = 16


def clustered(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(60, D))
    x = centres[rng.integers(60, size=n)] + 0.4 * rng.normal(size=(n, D))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """3,000 shop photos and 150 customers' in 5 shards."""
    x = clustered(3150, 0)
    domain = ["consumer" if i % 21 == 0 else "shop" for i in range(len(x))]
    names = [f"img/{i:05}.jpg" for i in range(len(x))]
    about = pa.table({"image": names, "item": [f"item {i // 3}" for i in range(len(x))], "domain": domain})
    store = Store(tmp_path_factory.mktemp("catalogue"))
    make_catalogue(store, x, about, shards=5)
    shop = np.array(domain) == "shop"
    return open_catalogue(store.uri), x[shop], np.array(names)[shop], x[~shop]


def built(catalogue, kind, settings):
    used = settings.of(kind, D)
    plan = plan_parts(catalogue[1], settings.vectors)
    parts = [build_part(catalogue, number, shards, used) for number, shards in enumerate(plan)]
    return write_index_manifest(catalogue, used, [part for part in parts if part])


def answer(catalogue, kind, queries, k):
    """Image ids, as a server would find them from the files alone."""
    parts = [load_part(catalogue[0], part) for part in open_index(catalogue, kind).parts]
    start, found, images = 0, [], []
    for part in parts:
        scores, rows = search(part.index, queries, k)
        found.append((scores, np.where(rows < 0, -1, rows + start)))
        images.append(part.images)
        start += len(part.images)
    scores, rows = merge(found, k)
    return scores, np.concatenate(images)[rows]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vectors", [1000, 100_000])
def test_what_an_index_finds_against_brute_force(catalogue, kind, vectors):
    held, shop, names, queries = catalogue
    settings = AnnSettings(vectors=vectors, nprobe=8, queries=150)
    about = built(held, kind, settings)
    assert len(about.parts) == (3 if vectors == 1000 else 1)
    exact = names[np.argsort(-(queries @ shop.T), axis=1, kind="stable")[:, :10]]
    scores, found = answer(held, kind, queries, 10)
    share = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, exact, strict=True)])
    if kind == "flat":
        assert share == 1
    if kind != "ivfpq":  # whose scores are of rounded vectors
        place = {name: row for row, name in enumerate(names)}
        true = np.array([[z @ shop[place[name]] for name in row] for z, row in zip(queries, found, strict=True)])
        np.testing.assert_allclose(scores, true, atol=1e-5)
    assert share > (0.35 if kind == "ivfpq" else 0.9)
    rows = compare_indexes(held, [about], settings)
    small = " (1 of 3 parts flat)" if vectors == 1000 and kind != "flat" else ""
    assert [row["kind"] for row in rows] == ["exact", kind + small]
    assert rows[0]["recall"] == {"1": 1.0, "10": 1.0, "50": 1.0}
    assert rows[1]["recall"]["10"] == pytest.approx(share, abs=0.01 if kind == "ivfpq" else 1e-9)  # equal codes tie
    if kind == "ivfpq":
        assert rows[1]["bytes"] < rows[0]["bytes"]


def test_queries_are_customers_photos_or_where_there_are_none_the_indexed_ones(catalogue):
    held, _, _, consumers = catalogue
    rows = lambda x: {z.tobytes() for z in x}  # noqa: E731
    assert rows(sample_queries(held, AnnSettings())) == rows(consumers)
    some = sample_queries(held, AnnSettings(queries=20))
    assert len(some) == 20 and rows(some) < rows(consumers)
    assert len(sample_queries(held, AnnSettings(domain="any", queries=700))) == 700


def test_the_same_vectors_and_settings_give_the_same_file(catalogue, tmp_path):
    held, *_ = catalogue
    for kind in KINDS:
        used = AnnSettings().of(kind, D)
        shards = [row.name for row in held.manifest.shards]
        first = build_part(held, 0, shards, used)
        (held[0] / "_index").delete(f"{kind}/part-00000.json")
        assert build_part(held, 0, shards, used).digest == first.digest


def test_few_vectors_are_indexed_flat(tmp_path):
    x = clustered(LEAST - 1, 1)
    names = [f"{i}" for i in range(len(x))]
    about = pa.table({"image": names, "item": names, "domain": ["shop"] * len(x)})
    make_catalogue(Store(tmp_path), x, about, shards=1)
    held = open_catalogue(str(tmp_path))
    for kind in KINDS:
        part = built(held, kind, AnnSettings()).parts[0]
        assert part.built == "IndexFlatIP"
        scores, rows = search(load_part(held[0], part).index, x[:5], 700)
        assert (rows[:, 0] == np.arange(5)).all() and (rows[:, LEAST - 1 :] == -1).all()
        assert np.isneginf(scores[:, LEAST - 1 :]).all()


def test_an_index_of_another_version_is_refused(tmp_path):
    x = clustered(60, 2)
    names = [f"{i}" for i in range(60)]
    about = pa.table({"image": names, "item": names, "domain": ["shop"] * 60})
    store = Store(tmp_path)
    make_catalogue(store, x, about, shards=2)
    held = open_catalogue(store.uri)
    with pytest.raises(InputError, match=r"no ivf index there; make it with jobs/embed\.py --index ivf"):
        open_index(held, "ivf")
    built(held, "ivf", AnnSettings(vectors=1))
    open_index(held, "ivf")
    manifest = store.read_json(MANIFEST)
    manifest["shards"][1]["digest"] = "a newer one"
    store.write_json(MANIFEST, manifest)
    newer = open_catalogue(store.uri)
    with pytest.raises(InputError, match=r"index of test/shard-00001 in version 0+1, .* have a newer one; make it"):
        open_index(newer, "ivf")
    before = {name: store.read(f"_index/ivf/{name}") for name in ("part-00000.json", "part-00001.json")}
    open_index(newer, "ivf") if built(newer, "ivf", AnnSettings(vectors=1)) else None
    assert store.read("_index/ivf/part-00000.json") == before["part-00000.json"]
    assert store.read("_index/ivf/part-00001.json") != before["part-00001.json"]
    store.write("_index/ivf/part-00000.faiss", store.read("_index/ivf/part-00001.faiss"))
    with pytest.raises(InputError, match=r"part-00000\.faiss: found version"):
        load_part(store, open_index(newer, "ivf").parts[0])


def test_agreement_counts_the_exact_ones_that_are_found():
    exact = np.array([[1, 2, 3], [4, 5, -1]])
    assert agreement(np.array([[3, 1, 9], [5, 4, -1]]), exact, 3) == pytest.approx(4 / 5)
    assert agreement(exact, exact, 3) == 1


def test_parts_that_do_not_divide_the_vector_are_refused():
    with pytest.raises(InputError, match=r"^ann\.pq_m: found 5, expected a divisor .* 16$"):
        AnnSettings(pq_m=5).of("ivfpq", 16)

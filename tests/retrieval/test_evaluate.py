"""An evaluation of embedding shards on storage: the same numbers for any shards, and each against a plain restatement."""

from dataclasses import replace

import numpy as np
import pytest

from fashion.errors import InputError
from fashion.json_values import to_plain
from fashion.retrieval.embeddings import EMBEDDING, HISTOGRAM
from fashion.retrieval.evaluate import evaluate
from fashion.retrieval.metrics_record import Data, Metrics, Model, Origin
from fashion.retrieval.results import query_table
from fashion.retrieval.settings import ProtocolSettings
from fashion.sealed import to_json
from fashion.storage import Store
from tests.retrieval.galleries import item_table, measures, order, score_matrix, vectors, write_shards

KS = (1, 2, 5)


def rows_of(rng, *, items=30, domains=("shop",), D=6, kind="plain"):
    """Rows of both sides; the last two items have no gallery image."""
    rows = []
    for item in range(items):
        for role, count in (("query", rng.integers(1, 4)), ("gallery", 0 if item >= items - 2 else rng.integers(1, 6))):
            for n in range(count):
                domain = "consumer" if role == "query" else domains[n % len(domains)]
                row = {"item": f"id_{item:03d}", "image": f"img/{item}/{role}_{n}.jpg", "domain": domain, "role": role}
                row |= {"category": ["Tee", "Dress", None][item % 3], "clothes_type": [1, 3, None][item % 3]}
                rows.append(row | {EMBEDDING: None, HISTOGRAM: None, "pairs": []})
    for name in (EMBEDDING, HISTOGRAM):
        for row, z in zip(rows, vectors(rng, len(rows), D, kind), strict=True):
            row[name] = z
    for row in rows:
        if row["role"] == "query":
            row["pairs"] = [f"img/{int(row['item'][3:])}/gallery_0.jpg"]
    return [rows[i] for i in rng.permutation(len(rows))]


def evaluated(folder, rows, shards, *, benchmark="consumer-to-shop", settings=None, **options):
    store = Store(folder)
    names = write_shards(store, "test", rows, shards, kinds=(EMBEDDING, HISTOGRAM))
    settings = settings or ProtocolSettings(ks=KS)
    return evaluate(store, {"test": names}, item_table(benchmark), settings, crop="whole", **options)


def whole_items(rows, shards, rng):
    """A shard for each row such that an item is in one."""
    own = {item: int(rng.integers(shards)) for item in {row["item"] for row in rows}}
    return [own[row["item"]] for row in rows]


def oracle(rows, *, ranking="image", positives="item"):
    """(query row, ranked ids, whether each matches) for each query, from full matrices."""
    queries = [row for row in rows if row["role"] == "query"]
    gallery = sorted((r for r in rows if r["role"] == "gallery"), key=lambda r: (r["item"], r["image"]))
    z_GD = np.stack([r[EMBEDDING] for r in gallery])
    if ranking == "centroid":
        columns = sorted({r["item"] for r in gallery})
        means = [np.mean([r[EMBEDDING] for r in gallery if r["item"] == c], 0, dtype=np.float64) for c in columns]
        z_GD = np.stack([m / np.linalg.norm(m) for m in means]).astype(np.float32)
    scores = score_matrix(np.stack([r[EMBEDDING] for r in queries]), z_GD)
    if ranking == "item":
        columns = sorted({r["item"] for r in gallery})
        held = np.array([r["item"] for r in gallery])
        scores = np.stack([scores[:, held == c].max(1) for c in columns], 1)
    if ranking == "image":
        columns = [(r["image"], r["item"]) for r in gallery]
    found = []
    for q, row in enumerate(queries):
        ranked = [columns[g] for g in order(scores[q], columns)]
        same = lambda c: (c if isinstance(c, str) else c[1]) == row["item"]  # noqa: B023, E731
        if positives == "pair":
            ranked = [c for c in ranked if not same(c) or c[0] in row["pairs"]]
        found.append((row, ranked, [same(c) for c in ranked]))
    return found


@pytest.mark.parametrize("kind", ["plain", "copies"])
@pytest.mark.parametrize(
    ("ranking", "positives"), [("image", "item"), ("image", "pair"), ("item", "item"), ("centroid", "item")]
)
def test_every_number_of_any_number_of_shards_is_that_of_full_matrices(tmp_path, kind, ranking, positives):
    rng = np.random.default_rng(5)
    rows = rows_of(rng, kind=kind)
    settings = ProtocolSettings(ks=KS, ranking=ranking, positives=positives)
    expected = {
        r["image"]: (ranked, matching) for r, ranked, matching in oracle(rows, ranking=ranking, positives=positives)
    }
    seen = []
    # The last cut tears items over the shards.
    for n, shards in enumerate([1, 3, 17, None]):
        cut = rng.integers(0, 7, len(rows)).tolist() if shards is None else whole_items(rows, shards, rng)
        found = evaluated(tmp_path / str(n), rows, cut, settings=settings)
        table = query_table(found).to_pylist()
        for row in table:
            ranked, matching = expected[row["image"]]
            first, ap, rp = measures(matching)
            assert (row["rank"] or 0) == first
            assert row["average_precision"] == pytest.approx(ap) and row["r_precision"] == pytest.approx(rp)
            assert row["top_correct"] == matching[:5]
            if ranking == "image":
                assert list(zip(row["top_images"], row["top_items"], strict=True)) == ranked[:5]
            else:
                assert row["top_items"] == ranked[:5]
        metrics = found.metrics
        for k in KS:
            hits = [any(matching[:k]) for _, matching in expected.values()]
            assert metrics.recall[str(k)] == pytest.approx(np.mean(hits))
        firsts = [measures(matching)[0] or np.inf for _, matching in expected.values()]
        assert metrics.median_rank == np.median(firsts)
        assert metrics.unmatched_queries == sum(not any(matching) for _, matching in expected.values()) > 0
        seen.append((table, metrics))
    assert all(numbers == seen[0] for numbers in seen[1:])


def test_groups_restate_the_numbers_of_their_queries(tmp_path):
    rows = rows_of(np.random.default_rng(1))
    metrics = evaluated(tmp_path, rows, [0] * len(rows)).metrics
    found = {r["image"]: (r, measures(matching)) for r, _, matching in oracle(rows)}
    for grouping, field, names in (
        ("by_category", "category", {"Tee": "Tee", "Dress": "Dress"}),
        ("by_clothes_type", "clothes_type", {"upper body": 1, "full body": 3}),
    ):
        groups = getattr(metrics, grouping)
        assert {row.name for row in groups} == set(names)
        assert [row.queries for row in groups] == sorted((r.queries for r in groups), reverse=True)
        for row in groups:
            own = [m for r, m in found.values() if r[field] == names[row.name]]
            assert row.queries == len(own) and row.unmatched_queries == sum(first == 0 for first, *_ in own)
            assert row.map == pytest.approx(np.mean([ap for _, ap, _ in own]))
            assert row.recall["1"] == pytest.approx(np.mean([first == 1 for first, *_ in own]))
    assert [row.name for row in metrics.by_domains] == ["consumer → shop"]
    assert metrics.by_domains[0].map == metrics.map
    assert set(metrics.baselines) == {"colour histogram", "chance"}


def test_metrics_json_has_its_names_in_their_order_and_is_read_back_to_the_same_bytes(tmp_path):
    rows = rows_of(np.random.default_rng(2), domains=("shop", "consumer"))
    origin = Origin(
        model=Model(fingerprint="m", network={"name": "x"}, epoch=1, run="run"), data=Data(uri="table", fingerprint="d"),
        seed=0, versions={"torch": "2"}, created="2026-11-28T03:00:00Z",
    )  # fmt: skip
    metrics = replace(evaluated(tmp_path, rows, [0] * len(rows)).metrics, **vars(origin))
    plain = to_plain(metrics)
    summary = ["recall", "map", "r_precision", "mrr"]
    assert list(plain) == [
        "protocol", "queries", "unmatched_queries", *summary, "median_rank", "intervals", "by_category",
        "by_clothes_type", "gallery", "query_set", "gallery_set", "by_domains", "baselines", "model", "data", "seed",
        "versions", "created",
    ]  # fmt: skip
    groups = [*plain["by_category"], *plain["by_clothes_type"], *plain["by_domains"]]
    assert len(groups) == 6 and all(list(g) == ["name", "queries", "unmatched_queries", *summary] for g in groups)
    assert list(plain["intervals"]) == summary == list(plain["baselines"]["chance"])
    assert all(len(ends) == 2 for ends in (*plain["intervals"]["recall"].values(), plain["intervals"]["mrr"]))
    Store(tmp_path).write_value("metrics.json", metrics)
    again = Store(tmp_path).read_value("metrics.json", Metrics)
    assert again == metrics and to_json(to_plain(again)) == Store(tmp_path).read("metrics.json")


def test_a_domain_pair_is_ranked_in_the_gallery_of_that_domain_alone(tmp_path):
    rows = rows_of(np.random.default_rng(2), domains=("shop", "consumer"))
    metrics = evaluated(tmp_path, rows, [0] * len(rows)).metrics
    assert sorted(row.name for row in metrics.by_domains) == ["consumer → consumer", "consumer → shop"]
    for row in metrics.by_domains:
        domain = row.name.split(" → ")[1]
        alone = [r for r in rows if r["role"] == "query" or r["domain"] == domain]
        own = [measures(matching) for _, _, matching in oracle(alone)]
        assert row.map == pytest.approx(np.mean([ap for _, ap, _ in own]))
        assert row.unmatched_queries == sum(first == 0 for first, *_ in own)


def test_by_category_an_image_without_category_matches_nothing(tmp_path):
    rows = rows_of(np.random.default_rng(3))
    found = evaluated(
        tmp_path,
        rows,
        [0] * len(rows),
        benchmark="category-attribute",
        settings=ProtocolSettings(ks=KS, gallery_splits=("test",)),
    )
    for row in query_table(found).to_pylist():
        assert (row["rank"] is None) == (row["category"] is None)


def test_another_query_or_gallery_image_is_another_set(tmp_path):
    rows = rows_of(np.random.default_rng(4))
    whole = evaluated(tmp_path / "a", rows, [0] * len(rows)).metrics
    for role, name, other in (("query", "query_set", "gallery_set"), ("gallery", "gallery_set", "query_set")):
        gone = next(row for row in rows if row["role"] == role)
        less = evaluated(tmp_path / role, [row for row in rows if row is not gone], [0] * (len(rows) - 1)).metrics
        assert getattr(less, name) != getattr(whole, name) and getattr(less, other) == getattr(whole, other)


def test_empty_sides_and_missing_pairs_are_errors_of_one_line(tmp_path):
    rows = rows_of(np.random.default_rng(0))
    for role, title in (("query", "gallery images"), ("gallery", "queries")):
        some = [row for row in rows if row["role"] == role]
        with pytest.raises(InputError, match=f"no {title} in test"):
            evaluated(tmp_path / role, some, [0] * len(some))
    bare = [{**row, "pairs": []} for row in rows]
    with pytest.raises(InputError, match="no annotated pairs; set item"):
        evaluated(tmp_path / "p", bare, [0] * len(bare), settings=ProtocolSettings(ks=KS, positives="pair"))

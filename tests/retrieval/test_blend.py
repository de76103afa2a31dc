"""Search by embedding and predicted category: the formula, what restriction promises, and its place in an evaluation."""

import numpy as np
import pytest

from fashion.errors import InputError
from fashion.retrieval.embeddings import EMBEDDING
from fashion.retrieval.evaluate import evaluate
from fashion.retrieval.labels.columns import CATEGORY_SCORES, category_scores
from fashion.retrieval.metrics import Summary
from fashion.retrieval.protocol import describe
from fashion.retrieval.results import query_table
from fashion.retrieval.search.refinements import RESTRICT, Blend
from fashion.retrieval.settings import ProtocolSettings
from fashion.storage import Store
from tests.retrieval.galleries import item_table, measures, order, score_matrix, vectors, write_shards

C, D = 4, 6


def unit(rng, n: int, size: int) -> np.ndarray:
    z = vectors(rng, n, size, "plain").astype(np.float64)
    return (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)


def scene(rng, items: int = 25) -> list[dict]:
    rows = []
    for item in range(items):
        for role, count in (("query", 2), ("gallery", 3)):
            for n in range(count):
                domain = "consumer" if role == "query" else "shop"
                row = {"item": f"id_{item:03}", "image": f"{item}/{role}_{n}.jpg", "domain": domain, "role": role}
                rows.append(row | {"category": "Tee", "clothes_type": 1, "pairs": []})
    kinds = {EMBEDDING: unit(rng, len(rows), D), CATEGORY_SCORES: category_scores(3 * rng.normal(size=(len(rows), C)))}
    for name, x in kinds.items():
        for row, vector in zip(rows, x, strict=True):
            row[name] = vector
    return [rows[i] for i in rng.permutation(len(rows))]


def evaluated(folder, rows, shards, kinds=(EMBEDDING, CATEGORY_SCORES), **protocol):
    store = Store(folder)
    names = write_shards(store, "test", rows, shards, kinds=kinds)
    settings = ProtocolSettings(ks=(1, 5), **protocol)
    return evaluate(store, {"test": names}, item_table(), settings, crop="whole")


@pytest.mark.parametrize("weight", [0.1, 1.0, 7.5])
def test_a_score_is_the_weighted_mean_of_cosine_and_agreement(weight):
    rng = np.random.default_rng(0)
    z, c = unit(rng, 30, D), category_scores(rng.normal(size=(30, C)))
    blended = Blend(weight=weight)(z, c)
    assert blended.dtype == np.float32 and blended.shape == (30, D + C)
    expected = (z.astype(np.float64) @ z.T + weight * (c.astype(np.float64) @ c.T)) / (1 + weight)
    np.testing.assert_allclose(blended @ blended.T, expected, atol=1e-6)
    np.testing.assert_array_equal(Blend(weight=weight)(z[7:9], c[7:9]), blended[7:9])  # a row for itself


def test_restriction_puts_the_predicted_category_first_even_where_embeddings_are_opposite():
    z = np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], np.float32)
    c = category_scores(np.array([[2.0, 1.0], [1.0, 0.9], [1.0, 1.1]]))
    scores = RESTRICT(z, c) @ RESTRICT(z, c).T
    assert scores[0, 1] == pytest.approx(3 / 5) and scores[0, 2] == pytest.approx(1 / 5)


@pytest.mark.parametrize("protocol", [{"category": "weigh", "category_weight": 0.7}, {"category": "restrict"}])
@pytest.mark.parametrize("ranking", ["image", "centroid"])
def test_an_evaluation_ranks_by_both_and_tells_what_embeddings_alone_get(tmp_path, protocol, ranking):
    rng = np.random.default_rng(1)
    rows = scene(rng)
    own = {row["item"]: int(rng.integers(3)) for row in rows}
    found = evaluated(tmp_path / "0", rows, [own[row["item"]] for row in rows], ranking=ranking, **protocol)
    again = evaluated(tmp_path / "1", rows, rng.integers(0, 5, len(rows)).tolist(), ranking=ranking, **protocol)
    assert query_table(again).to_pylist() == query_table(found).to_pylist() and again.metrics == found.metrics
    plain = evaluated(tmp_path / "2", rows, [0] * len(rows), ranking=ranking)
    alone = Summary(**{name: getattr(plain.metrics, name) for name in ("recall", "map", "mrr", "r_precision")})
    assert found.metrics.baselines["category ignored"] == alone
    assert found.metrics.map != plain.metrics.map and "category ignored" not in plain.metrics.baselines
    assert found.metrics.protocol["category"] == f"{protocol['category']} by the predicted category"
    if ranking != "image":
        return
    gallery = sorted((row for row in rows if row["role"] == "gallery"), key=lambda row: (row["image"], row["item"]))
    blend = RESTRICT if protocol["category"] == "restrict" else Blend(weight=0.7)
    joined = lambda some: blend(*(np.stack([row[name] for row in some]) for name in (EMBEDDING, CATEGORY_SCORES)))  # noqa: E731
    told = {row["image"]: row for row in query_table(found).to_pylist()}
    for row in (row for row in rows if row["role"] == "query"):
        ids = [(other["image"], other["item"]) for other in gallery]
        ranked = [gallery[g] for g in order(score_matrix(joined([row]), joined(gallery))[0], ids)]
        first, ap, _ = measures([other["item"] == row["item"] for other in ranked])
        assert told[row["image"]]["rank"] == first
        assert told[row["image"]]["average_precision"] == pytest.approx(ap)
        if protocol["category"] == "restrict":
            best = row[CATEGORY_SCORES].argmax()
            same = [other[CATEGORY_SCORES].argmax() == best for other in ranked]
            assert same == sorted(same, reverse=True) and 0 < sum(same) < len(same)
            for part in (True, False):
                cosines = [
                    float(row[EMBEDDING] @ other[EMBEDDING])
                    for other, own in zip(ranked, same, strict=True)
                    if own == part
                ]
                assert np.all(np.diff(cosines) < 1e-6)


def test_a_network_without_categories_is_refused_in_one_line(tmp_path):
    rows = scene(np.random.default_rng(2))
    with pytest.raises(InputError, match=r"^protocol\.category: found weigh, but this network predicts no category"):
        evaluated(tmp_path, rows, [0] * len(rows), kinds=(EMBEDDING,), category="weigh")
    for wrong in ({"category": "yes"}, {"category_weight": 0.0}, {"category_weight": float("nan")}):
        with pytest.raises(InputError, match=f"^protocol.{next(iter(wrong))}: found"):
            ProtocolSettings(**wrong)


def test_the_protocol_says_nothing_of_what_is_not_done():
    said = describe(ProtocolSettings(category_weight=2.0), benchmark="in-shop", crop="whole")
    assert not [name for name in said if name.startswith("category")]

"""Query expansion and re-ranking against restatements of the papers' formulas, for any cut of the gallery."""

import numpy as np
import pytest

from fashion.errors import InputError
from fashion.retrieval.protocol import describe
from fashion.retrieval.rank import rank
from fashion.retrieval.search import refine
from fashion.retrieval.search.queries import Queries
from fashion.retrieval.search.refinements import Expansion, Reranking, rerank
from fashion.retrieval.settings import ProtocolSettings
from tests.retrieval.galleries import held_parts, measures, order, score_matrix, vectors

Q, G, D = 12, 90, 5


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    z_QD, z_GD = (vectors(rng, n, D, "plain") for n in (Q, G))
    z_QD, z_GD = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (z_QD, z_GD))
    ids = [f"{n:03d}" for n in rng.permutation(G)]
    return z_QD, z_GD, ids, rng.integers(0, 9, Q), rng.integers(0, 9, G)


def cuts_of(scene, **options):
    """The ranking for several cuts, which must all be alike: list of (ids of the list, scores, first, AP) by query."""
    z_QD, z_GD, ids, asked, held = scene
    found = []
    for cuts in ([], [30], [5, 5, 40, 77]):
        got = rank(Queries.of(z_QD, asked), held_parts(z_GD, ids, held.tolist(), cuts), 7, **options)
        listed = [[got.listed["id"][row].as_py() for row in rows] for rows in got.top]
        found.append(
            (listed, got.scores.tolist(), got.measures.first.tolist(), got.measures.average_precision.tolist())
        )
    assert found[1] == found[0] and found[2] == found[0]
    return found[0]


def expected(scene, orders):
    """(ids of the list, first, AP) for gallery columns in these orders."""
    _, _, ids, asked, held = scene
    numbers = [measures([bool(held[g] == label) for g in ranked]) for ranked, label in zip(orders, asked, strict=True)]
    return [[ids[g] for g in ranked[:7]] for ranked in orders], [n[0] for n in numbers], [n[1] for n in numbers]


@pytest.mark.parametrize(("columns", "power"), [(1, 3.0), (5, 3.0), (5, 0.0), (200, 1.0)])
def test_an_expanded_query_is_the_weighted_mean_of_itself_and_what_it_finds(monkeypatch, scene, columns, power):
    monkeypatch.setattr(refine, "PICKED_BYTES", 4 * D * columns * 5)  # five queries at a time
    z_QD, z_GD, ids, *_ = scene
    moved = []
    for q, scores in enumerate(score_matrix(z_QD, z_GD)):
        best = order(scores, ids)[:columns]
        z = z_QD[q] + sum(max(float(scores[g]), 0.0) ** power * z_GD[g].astype(np.float64) for g in best)
        moved.append(z / np.linalg.norm(z))
    orders = [order(scores, ids) for scores in score_matrix(np.float32(moved), z_GD)]
    listed, _, first, ap = cuts_of(scene, expansion=Expansion(columns=columns, power=power))
    assert (listed, first) == expected(scene, orders)[:2]
    assert ap == pytest.approx(expected(scene, orders)[2])


def paper(x_ND, k1, k2, weight):
    """Distances of x[1:] from x[0], in the words of Zhong et al.'s section 3, with sets and loops."""
    N = len(x_ND)
    d = np.array([[np.sum((a.astype(np.float64) - b) ** 2) for b in x_ND] for a in x_ND])
    d /= d.max(1, keepdims=True)
    neighbours = [sorted(range(N), key=lambda j: (d[i, j], j)) for i in range(N)]

    def reciprocal(i, k):
        return {j for j in neighbours[i][: k + 1] if i in neighbours[j][: k + 1]}

    V = np.zeros((N, N))
    for i in range(N):
        near = reciprocal(i, k1)
        grown = set(near)
        for j in near:
            own = reciprocal(j, round(k1 / 2))
            if len(own & near) > 2 / 3 * len(own):
                grown |= own
        for j in grown:
            V[i, j] = np.exp(-d[i, j])
        V[i] /= V[i].sum()
    V = np.array([np.mean([V[j] for j in neighbours[i][:k2]], 0) for i in range(N)])
    jaccard = [1 - np.minimum(V[0], V[j]).sum() / np.maximum(V[0], V[j]).sum() for j in range(1, N)]
    return (1 - weight) * np.array(jaccard) + weight * d[0, 1:]


@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (5, 1, 0.0), (3, 2, 1.0), (100, 50, 0.5)])
def test_reranking_is_that_of_the_paper_over_the_list(monkeypatch, scene, k1, k2, weight):
    monkeypatch.setattr(refine, "TOGETHER", 5)
    monkeypatch.setattr(refine, "PICKED_BYTES", 4 * D * 40 * 7)
    z_QD, z_GD, ids, *_ = scene
    orders, similarities = [], []
    for q, scores in enumerate(score_matrix(z_QD, z_GD)):
        ranked = order(scores, ids)
        distances = paper(np.concatenate([z_QD[q, None], z_GD[ranked[:40]]]), k1, k2, weight)
        new = np.argsort(distances.round(12), kind="stable")
        orders.append([ranked[n] for n in new] + ranked[40:])
        similarities.append(1 - distances[new][:7])
    settings = Reranking(columns=40, k1=k1, k2=k2, weight=weight)
    listed, scores, first, ap = cuts_of(scene, reranking=settings)
    assert (listed, first) == expected(scene, orders)[:2]
    assert ap == pytest.approx(expected(scene, orders)[2])
    np.testing.assert_allclose(scores, similarities, atol=1e-6)


def test_reranking_a_list_longer_than_the_gallery_or_empty():
    rng = np.random.default_rng(1)
    x = vectors(rng, 4, D, "plain")
    settings = Reranking(columns=40, k1=20, k2=6, weight=0.3)
    np.testing.assert_allclose(rerank(x[0], x[1:], settings), paper(x, 20, 6, 0.3), atol=1e-6)
    assert rerank(x[0], x[:0], settings).shape == (0,)
    found = rank(Queries.of(x[:2], ["a", "b"]), held_parts(x, list("wxyz"), list("aabb"), [2]), 5, reranking=settings)
    assert (found.top >= 0).sum(1).tolist() == [4, 4] and (found.measures.first > 0).all()


def test_refinements_are_off_by_default_and_part_of_the_protocol():
    plain = describe(ProtocolSettings(), benchmark="in-shop", crop="whole")
    assert not {"expansion", "reranking"} & set(plain)
    said = describe(ProtocolSettings(expansion=10, reranking=50), benchmark="in-shop", crop="whole")
    assert (said["expansion"], said["expansion_power"], said["reranking"], said["reranking_k1"]) == (10, 3.0, 50, 20)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"expansion": -1}, "protocol.expansion: found -1"),
        ({"reranking_k2": 0}, "protocol.reranking_k2: found 0"),
        ({"reranking_weight": 1.5}, "protocol.reranking_weight: found 1.5"),
        ({"ranking": "item", "reranking": 20}, "expected image or centroid"),
    ],
)
def test_refinements_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        ProtocolSettings(**settings)

"""Ranking, metrics and protocols against plain full-matrix re-statements and torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.retrieval import retrieval_average_precision, retrieval_reciprocal_rank

from fashion.retrieval import rank as module
from fashion.retrieval.evaluate import centroids
from fashion.retrieval.metrics import average_precision, chance, reciprocal_rank, summary
from fashion.retrieval.protocol import Relevance, match_labels, match_pairs
from fashion.retrieval.rank import rank


def vectors(rng, n, D=6, coarse=True):
    x = rng.integers(-1, 2, (n, D)) if coarse else rng.normal(size=(n, D))  # coarse ones tie often, and exactly
    return x.astype(np.float32)


def oracle(S_QG, positive_QG, ignored_QG, k):
    """(top columns, sorted ranks of the matches) of each query, by sorting everything."""
    found = []
    for s, positive, ignored in zip(S_QG, positive_QG, ignored_QG, strict=True):
        order = [g for g in sorted(range(len(s)), key=lambda g: (-s[g], g)) if not ignored[g]]
        found.append((order[:k], [r + 1 for r, g in enumerate(order) if positive[g]]))
    return found


def as_csr(matrix):
    return np.nonzero(matrix)[1].astype(np.int64), np.r_[0, np.cumsum(matrix.sum(1))].astype(np.int64)


@settings(max_examples=120, deadline=None)
@given(
    Q=st.integers(1, 9), G=st.integers(1, 60), k=st.integers(1, 70), share=st.floats(0, 1), few=st.integers(0, 3),
    block=st.integers(1, 400), seed=st.integers(0, 10**6),
)  # fmt: skip
def test_rank_equals_sorting_everything(Q, G, k, share, few, block, seed):
    rng = np.random.default_rng(seed)
    queries, gallery = vectors(rng, Q), vectors(rng, G)
    positive = rng.random((Q, G)) < share
    ignored = (rng.random((Q, G)) < 0.2) & ~positive
    match, match_at = as_csr(positive)
    ignore, ignore_at = as_csr(ignored)
    relevance = Relevance(match=match, match_at=match_at, ignore=ignore, ignore_at=ignore_at)
    old = module.BLOCK_SCORES, module.FEW
    module.BLOCK_SCORES, module.FEW = block, few
    try:
        found = rank(queries, gallery, relevance, k)
    finally:
        module.BLOCK_SCORES, module.FEW = old
    for q, (top, ranks) in enumerate(oracle(queries @ gallery.T, positive, ignored, k)):
        assert found.top[q][: len(top)].tolist() == top
        assert (found.top[q][len(top) :] == -1).all() and np.isneginf(found.scores[q][len(top) :]).all()
        assert found.ranks[found.at[q] : found.at[q + 1]].tolist() == ranks
        assert found.first()[q] == (ranks[0] if ranks else 0)
        ap = np.mean([(i + 1) / r for i, r in enumerate(ranks)]) if ranks else 0.0
        assert average_precision(found)[q] == pytest.approx(ap)


@settings(max_examples=60, deadline=None)
@given(Q=st.integers(1, 8), G=st.integers(1, 40), items=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_items_rank_by_their_best_image_and_by_their_centroid(Q, G, items, seed):
    rng = np.random.default_rng(seed)
    gallery_items = np.sort(rng.integers(0, items, G))
    names, groups = np.unique(gallery_items, return_inverse=True)
    queries, gallery = vectors(rng, Q), vectors(rng, G)
    labels = rng.integers(0, items, Q)
    relevance = match_labels(labels, names)
    S = queries @ gallery.T
    best = np.stack([S[:, groups == c].max(1) for c in range(len(names))], 1)
    nothing = np.zeros(best.shape, bool)
    found = rank(queries, gallery, relevance, 5, groups)
    for q, (top, ranks) in enumerate(oracle(best, labels[:, None] == names, nothing, 5)):
        assert found.top[q][: len(top)].tolist() == top
        assert found.ranks[found.at[q] : found.at[q + 1]].tolist() == ranks
    mean = np.stack([gallery[groups == c].mean(0) for c in range(len(names))])
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(centroids(gallery, groups), mean, atol=1e-6)


def test_metrics_equal_torchmetrics_where_scores_do_not_tie():
    rng = np.random.default_rng(0)
    queries, gallery = vectors(rng, 40, 16, coarse=False), vectors(rng, 300, 16, coarse=False)
    q_items, g_items = rng.integers(0, 30, 40), rng.integers(0, 30, 300)
    found = rank(queries, gallery, match_labels(q_items, g_items), 10)
    S = torch.from_numpy(queries) @ torch.from_numpy(gallery).T + 100  # torchmetrics drops matches with scores under 0
    target = torch.from_numpy(q_items[:, None] == g_items)
    ap = [float(retrieval_average_precision(s, t)) for s, t in zip(S, target, strict=True)]
    rr = [float(retrieval_reciprocal_rank(s, t)) for s, t in zip(S, target, strict=True)]
    np.testing.assert_allclose(average_precision(found), ap, atol=1e-6)
    np.testing.assert_allclose(reciprocal_rank(found.first()), rr, atol=1e-6)


def test_a_query_without_a_match_is_a_miss_and_is_not_dropped():
    relevance = match_labels(np.array(["a", "nowhere"]), np.array(["b", "a"]))
    found = rank(np.float32([[1, 0], [1, 0]]), np.float32([[0, 1], [1, 0]]), relevance, 2)
    result = summary(found, (1, 2))
    assert result == {"recall": {"1": 0.5, "2": 0.5}, "map": 0.5, "mrr": 0.5}


def test_large_and_text_labels_do_not_collide():
    base = 2**60
    relevance = match_labels(np.array([base, base + 1]), np.array([base + 1, base + 2, base]))
    assert relevance.match.tolist() == [2, 0]
    relevance = match_labels(np.array(["id_1", "id_10"]), np.array(["id_10", "id_1", "id_1"]))
    assert [
        relevance.match[a:b].tolist() for a, b in zip(relevance.match_at, relevance.match_at[1:], strict=False)
    ] == [
        [1, 2],
        [0],
    ]


def test_pair_positives_leave_out_the_items_other_photos():
    gallery = np.array(["s1", "s2", "s3", "t1"])
    same = match_labels(np.array(["a", "b"]), np.array(["a", "a", "a", "b"]))
    relevance = match_pairs([["s2"], ["t1", "not in the gallery"]], gallery, same)
    queries, vectors_GD = np.float32([[1.0], [1.0]]), np.float32([[4], [1], [3], [2]])
    found = rank(queries, vectors_GD, relevance, 4)
    # For the first query s1 and s3 are nobody's: only t1 is ahead of s2.
    assert found.top[0].tolist() == [3, 1, -1, -1] and found.first().tolist() == [2, 3]


@pytest.mark.parametrize(("m", "G"), [(1, 10), (3, 10), (10, 10), (2, 300), (0, 10)])
def test_chance_equals_the_mean_over_random_rankings(m, G):
    rng = np.random.default_rng(m)
    ks, runs = (1, 3, 20), 4000
    ranks = [np.sort(rng.permutation(G)[:m] + 1) for _ in range(runs)]
    expected = chance(np.array([m]), np.array([G]), ks)
    for k in ks:
        assert expected["recall"][str(k)] == pytest.approx(np.mean([bool((r <= k).any()) for r in ranks]), abs=0.03)
    ap = np.mean([np.mean((np.arange(m) + 1) / r) if m else 0 for r in ranks])
    rr = np.mean([1 / r[0] if m else 0 for r in ranks])
    assert expected["map"] == pytest.approx(ap, abs=0.02) and expected["mrr"] == pytest.approx(rr, abs=0.02)

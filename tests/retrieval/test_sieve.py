"""The sieve of 8 bits: lets every pair through that may reach its threshold, and lists are those of sorting everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion.retrieval.products import score as scoring
from fashion.retrieval.products import sieve
from fashion.retrieval.products.precision import INT8
from fashion.retrieval.products.score import exact_scores, lengths
from fashion.retrieval.products.sieve import Sieve
from fashion.retrieval.rank import rank
from fashion.retrieval.search import scan, survey
from fashion.retrieval.search.queries import Queries
from tests.retrieval.galleries import KINDS, held_parts, order, score_matrix, vectors

KINDS = st.sampled_from(KINDS)
pytestmark = pytest.mark.skipif(not sieve.exact_here(), reason="no exact product of 8 bits here")


@settings(max_examples=100, deadline=None)
@given(
    Q=st.integers(1, 40), N=st.integers(1, 90), D=st.sampled_from([1, 2, 3, 7, 16, 33, 128, 300]), x_kind=KINDS,
    y_kind=KINDS, quantile=st.floats(0, 1), size=st.sampled_from([1.0, 1e-12, 1e12]), seed=st.integers(0, 10**6),
)  # fmt: skip
def test_every_pair_that_reaches_its_threshold_passes(Q, N, D, x_kind, y_kind, quantile, size, seed):
    rng = np.random.default_rng(seed)
    x, y = (vectors(rng, n, D, kind) * np.float32(size) for n, kind in ((Q, x_kind), (N, y_kind)))
    y[rng.random(N) < 0.1] *= np.float32(1e-25)  # of a length that says little of the block's longest
    scores = score_matrix(x, y)
    thresholds = np.quantile(scores, quantile, axis=1, method="nearest").astype(np.float32)
    longest = float(lengths(y).max())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sieve, "FEWEST", 1)
        patch.setattr(sieve, "ROUNDED_ROWS", int(rng.integers(1, 100)))
        made = sieve.sieve(x, lengths(x), longest)
        if made is None:
            assert min(lengths(x).min(), longest) <= 1e-15 or max(lengths(x).max(), longest) > 1e15
            return
        query, vector = made.passing(y, longest, thresholds, most=1.0)
    passed = np.zeros(scores.shape, bool)
    passed[query, vector] = True
    assert len(query) == passed.sum() and (np.diff(query * N + vector) > 0).all()
    assert passed[scores >= thresholds[:, None]].all()


def test_few_others_pass():
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((n, 128), dtype=np.float32) for n in (300, 5000))
    scores = x @ y.T
    thresholds = np.sort(scores, 1)[:, -10]
    made = Sieve(x, lengths(x))
    query, _ = made.passing(y, float(lengths(y).max()), thresholds)
    assert 10 * len(x) <= len(query) < 30 * len(x)
    assert made.passing(y, float(lengths(y).max()), thresholds, most=0.001) is None


@settings(max_examples=100, deadline=None)
@given(
    Q=st.integers(1, 12), G=st.integers(20, 150), D=st.integers(1, 9), k=st.integers(1, 30), kind=KINDS,
    parts=st.integers(1, 5), seed=st.integers(0, 10**6),
)  # fmt: skip
def test_lists_are_those_of_sorting_everything(Q, G, D, k, kind, parts, seed):
    """Guesses, from a sample that is too small, are often too high, so that searches are repeated."""
    rng = np.random.default_rng(seed)
    z_GD = vectors(rng, G, D, kind)
    z_QD = z_GD[rng.integers(0, G, Q)] if kind in ("copies", "close") else vectors(rng, Q, D, kind)
    ids = [f"image {n:03d}" for n in rng.permutation(G)]
    cuts = sorted(rng.integers(0, G + 1, parts - 1).tolist())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sieve, "FEWEST", 1)
        patch.setattr(sieve, "PASSING", float(rng.choice([0.3, 1.0])))
        patch.setattr(scoring, "SAMPLED", int(rng.choice([1, 4096])))
        patch.setattr(scoring, "SAMPLED_BYTES", int(rng.integers(8, 4000)))
        patch.setattr(survey, "LISTED", int(rng.integers(10, 60)))
        found = rank(Queries.unlabelled(z_QD), held_parts(z_GD, ids, ids, cuts), k, precision=INT8)
    scores = score_matrix(z_QD, z_GD)
    for q in range(Q):
        best = order(scores[q], ids)[:k]
        assert [found.listed["id"][row].as_py() for row in found.top[q, : len(best)]] == [ids[g] for g in best]
        assert found.scores[q, : len(best)].tolist() == scores[q][best].tolist()


def test_it_is_used_where_it_is_asked_for_and_gives_the_same_lists(monkeypatch):
    rng = np.random.default_rng(1)
    z_GD, z_QD = (rng.standard_normal((n, 32), dtype=np.float32) for n in (20_000, 300))
    parts = held_parts(z_GD, ids := [f"{n:05d}" for n in range(20_000)], ids, [5_000, 12_000])
    made = []
    monkeypatch.setattr(scan, "choose", lambda *given, own=scan.choose: made.append(own(*given)) or made[-1])
    lists = [rank(Queries.unlabelled(z_QD), parts, 20, precision=precision) for precision in (INT8, "float32")]
    assert len(made) > 3
    sifted, plain = lists
    assert np.array_equal(sifted.scores, plain.scores)
    assert sifted.listed["id"].take(sifted.top.reshape(-1)).equals(plain.listed["id"].take(plain.top.reshape(-1)))


@pytest.mark.parametrize("kind", ["normal", "copies"])
def test_sampled_sums_give_the_same_scores(kind, monkeypatch):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((50, 33), dtype=np.float32), rng.standard_normal((70, 33), dtype=np.float32)
    if kind == "copies":
        y[:] = y[0]
    a, b = np.sort(rng.integers(5, 45, 3000)), rng.integers(0, 70, 3000)
    scale = float(lengths(x).max() * lengths(y).max())
    monkeypatch.setattr(scoring, "SAMPLED", 10**9)
    plain = exact_scores(x, y, a, b, scale)
    monkeypatch.setattr(scoring, "SAMPLED", 1)
    monkeypatch.setattr(scoring, "SAMPLED_BYTES", 8 * 33 * 700)
    assert np.array_equal(exact_scores(x, y, a, b, scale).view(np.int32), plain.view(np.int32))

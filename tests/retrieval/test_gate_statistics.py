from fractions import Fraction
from itertools import pairwise, product
from math import comb

import numpy as np
import pytest
import scipy.stats

from fashion.retrieval.gate.statistics import bootstrap, bootstrap_p, holm, interval, mcnemar, wilson


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (1, 0), (3, 3), (0, 5), (9, 2), (40, 61), (700, 802)])
def test_mcnemar_is_the_exact_binomial_test(lost, gained):
    n = lost + gained
    tail = sum(comb(n, i) for i in range(min(lost, gained) + 1))
    assert mcnemar(lost, gained) == pytest.approx(float(min(1, 2 * Fraction(tail, 2**n))), rel=1e-9)
    assert mcnemar(gained, lost) == mcnemar(lost, gained)


def test_mcnemar_of_many_pairs_agrees_with_scipy():
    for lost, gained in [(50_000, 50_700), (20_000, 19_500), (150_000, 151_000)]:
        expected = scipy.stats.binomtest(lost, lost + gained).pvalue
        assert mcnemar(lost, gained) == pytest.approx(expected, rel=1e-6)


def test_the_bootstrap_draws_whole_items_with_replacement():
    """Three items: all 27 ways of drawing them, each as likely, are all that can come out."""
    differences_QM = np.array([[1.0, 0.2], [0.0, -0.4], [-1.0, 0.1], [0.0, 0.0], [-1.0, 0.7], [1.0, 0.3]])
    items = np.array(["b", "a", "b", "a", "c", "b"])
    rows = {name: differences_QM[items == name] for name in "abc"}
    exact = [np.concatenate([rows[name] for name in drawn]).mean(0) for drawn in product("abc", repeat=3)]
    means = bootstrap(differences_QM, items, draws=20_000, seed=3)
    possible, counts = np.unique(np.round(exact, 9), axis=0, return_counts=True)
    found, seen = np.unique(np.round(means, 9), axis=0, return_counts=True)
    np.testing.assert_allclose(found, possible)
    assert scipy.stats.chisquare(seen, counts / 27 * len(means)).pvalue > 1e-3


def test_the_bootstrap_agrees_with_scipy_where_every_query_is_an_item():
    rng = np.random.default_rng(0)
    d = rng.normal(0.02, 0.3, 400)
    means = bootstrap(d[:, None], np.arange(400).astype(str), draws=8000, seed=1)
    theirs = scipy.stats.bootstrap((d,), np.mean, n_resamples=8000, method="percentile", rng=2).confidence_interval
    np.testing.assert_allclose(interval(means[:, 0]), theirs, atol=0.003)


def test_draws_depend_on_the_seed_alone_and_not_on_the_block(monkeypatch):
    d, items = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) // 3
    whole = bootstrap(d, items, draws=200, seed=7)
    monkeypatch.setattr("fashion.retrieval.gate.statistics.BLOCK_DRAWS", 60)
    np.testing.assert_allclose(bootstrap(d, items, draws=200, seed=7), whole, rtol=1e-12)
    assert not np.allclose(bootstrap(d, items, draws=200, seed=8), whole)


def test_nothing_moved_has_a_p_value_of_one():
    assert bootstrap_p(np.zeros(1000)) == 1.0
    rounding = np.random.default_rng(0).choice([1e-17, -1e-17], 1000)
    assert bootstrap_p(rounding) == 1.0
    assert bootstrap_p(np.full(999, -0.1)) == pytest.approx(2 / 1000)


def test_holm_steps_down_from_the_smallest():
    assert holm([0.04, 0.01, 0.03, 0.5]) == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert holm([]) == []
    # Its definition: the i-th smallest is rejected while every smaller one passes alpha / (n - i).
    for p in np.random.default_rng(1).random((200, 6)) ** 3:
        adjusted, order = np.array(holm(p.tolist())), np.argsort(p)
        for alpha in (0.01, 0.05, 0.2):
            passed = np.cumprod(p[order] < alpha / np.arange(6, 0, -1)).astype(bool)
            assert (np.sort(order[passed]) == np.flatnonzero(adjusted < alpha)).all()
        assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(order))


def test_wilsons_interval_agrees_with_scipy():
    for hits, n in [(0, 7), (7, 7), (3, 11), (1100, 2311)]:
        expected = scipy.stats.binomtest(hits, n).proportion_ci(method="wilson")
        assert wilson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)

"""Metrics against torchmetrics and pytorch-metric-learning where definitions match, and against simulation."""

import warnings

import numpy as np
import pyarrow as pa
import pytest
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from torchmetrics.functional.retrieval import (
    retrieval_average_precision,
    retrieval_r_precision,
    retrieval_reciprocal_rank,
)

from fashion.retrieval.groups import intervals
from fashion.retrieval.metrics import Measures, Summary, chance, median_rank, recall_at, summary
from fashion.retrieval.rank import rank
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.parts import MemoryPart
from fashion.retrieval.search.queries import Queries


def ranked(rng, Q=40, G=300, items=30, D=16):
    """Rankings of random vectors, and what they come from."""
    queries, gallery = (rng.normal(size=(n, D)).astype(np.float32) for n in (Q, G))
    asked, held = rng.integers(0, items, Q), np.r_[np.arange(items), rng.integers(0, items, G - items)]
    block = Block(number=0, vectors=gallery, ids=pa.array(np.arange(G)), labels=pa.array(held))
    return rank(Queries.of(queries, asked), [MemoryPart(columns=block)], 0).measures, queries, gallery, asked, held


def test_measures_equal_torchmetrics_where_scores_do_not_tie():
    found, queries, gallery, asked, held = ranked(np.random.default_rng(0))
    S = torch.from_numpy(queries) @ torch.from_numpy(gallery).T + 100  # torchmetrics drops matches with scores under 0
    target = torch.from_numpy(asked[:, None] == held)
    for name, peer in {
        "average_precision": retrieval_average_precision,
        "r_precision": retrieval_r_precision,
        "reciprocal_rank": retrieval_reciprocal_rank,
    }.items():
        expected = [float(peer(s, t)) for s, t in zip(S, target, strict=True)]
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-6)


def test_measures_equal_the_accuracy_calculator_where_every_query_has_a_match():
    found, queries, gallery, asked, held = ranked(np.random.default_rng(1))
    names = ("precision_at_1", "r_precision", "mean_average_precision", "mean_reciprocal_rank")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = AccuracyCalculator(
            include=names, k=len(gallery), knn_func=lambda query, k, reference, same: _nearest(query, k, reference)
        ).get_accuracy(*(torch.from_numpy(x) for x in (queries, asked, gallery, held)))
    ours = summary(found, (1,))
    assert ours.recall["1"] == pytest.approx(peer["precision_at_1"])
    for name, theirs in zip(("r_precision", "map", "mrr"), names[1:], strict=True):
        assert getattr(ours, name) == pytest.approx(peer[theirs], abs=1e-6)


def _nearest(query, k, reference):
    scores, at = (query @ reference.T).topk(k)
    return scores, at


def test_a_query_without_a_match_is_a_miss_and_is_not_dropped():
    measures = Measures.of(np.array([2]), np.array([0, 1, 1]))
    numbers = summary(measures, (1, 2))
    assert numbers == Summary(recall={"1": 0.0, "2": 0.5}, map=0.25, r_precision=0.0, mrr=0.25)
    assert recall_at(measures.first, (5,)) == {5: 0.5}


@pytest.mark.parametrize(
    ("first", "expected"), [([3], 3), ([1, 4], 2.5), ([1, 0, 7], 7), ([0, 0, 1], None), ([1, 0], None), ([], None)]
)
def test_the_median_rank_puts_queries_without_a_match_last(first, expected):
    assert median_rank(np.array(first, np.int64)) == expected


@pytest.mark.parametrize(("m", "G"), [(1, 10), (3, 10), (10, 10), (2, 300), (0, 10)])
def test_chance_equals_the_mean_over_random_rankings(m, G):
    rng = np.random.default_rng(m)
    ks, runs = (1, 3, 20), 4000
    ranks = np.concatenate([np.sort(rng.permutation(G)[:m] + 1) for _ in range(runs)])
    found = summary(Measures.of(ranks, np.arange(runs + 1) * m), ks)
    expected = chance(np.array([m]), np.array([G]), ks)
    for k in ks:
        assert expected.recall[str(k)] == pytest.approx(found.recall[str(k)], abs=0.03)
    for name in ("map", "r_precision", "mrr"):
        assert getattr(expected, name) == pytest.approx(getattr(found, name), abs=0.02)


def test_intervals_hold_the_truth_nineteen_times_of_twenty():
    """Queries of an item share its luck; the truth is a recall@1 of one half."""
    rng, held, runs = np.random.default_rng(0), 0, 150
    for _ in range(runs):
        luck = rng.beta(2, 2, 80)  # mean 1/2
        items = np.repeat(np.arange(80), 3)
        first = np.where(rng.random(240) < luck[items], 1, 9)
        measures = Measures.of(first, np.arange(241))
        low, high = intervals(measures, items, (1,)).recall["1"]
        held += low <= 0.5 <= high
    assert 0.90 <= held / runs <= 0.99


def test_intervals_do_not_change_from_call_to_call_and_narrow_with_more_queries():
    rng = np.random.default_rng(0)
    widths = []
    for Q in (100, 1600):
        measures = Measures.of(rng.integers(1, 9, Q), np.arange(Q + 1))
        found = intervals(measures, np.arange(Q), (1, 5))
        assert found == intervals(measures, np.arange(Q), (1, 5))
        mean = summary(measures, (1, 5))
        for name in ("map", "r_precision", "mrr"):
            low, high = getattr(found, name)
            assert low <= getattr(mean, name) <= high
        widths.append(found.mrr[1] - found.mrr[0])
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.3)

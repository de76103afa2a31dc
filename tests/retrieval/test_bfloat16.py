"""The first pass in bfloat16: its bound against sums without rounding, and the same ranking as the float32 pass gives."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion.retrieval.products import bfloat16, precision
from fashion.retrieval.products.fast import Bfloat16, Float32, products
from fashion.retrieval.products.precision import within_bound
from fashion.retrieval.products.score import lengths
from fashion.retrieval.rank import rank
from fashion.retrieval.search.queries import Queries
from tests.retrieval.galleries import KINDS, held_parts, score_matrix, vectors

DIMENSIONS = st.sampled_from([1, 2, 3, 7, 16, 33, 128, 300, 777, 2048])


def float32s(rng: np.random.Generator, n: int) -> np.ndarray:
    """Of any size: numbers drawn by their bits, and those around the middle between two bfloat16 and around zero."""
    bits = rng.integers(0, 2**32, n, dtype=np.uint32)
    near = (bits & 0xFFFF0000) + rng.integers(0x7FFE, 0x8003, n, dtype=np.uint32)
    x = np.concatenate([bits, near, bits & 0x80FFFFFF, bits & 0x80000003]).astype(np.uint32).view(np.float32)
    return x[np.isfinite(x)]


def test_rounding_is_torchs_and_keys_are_in_the_order_of_the_numbers():
    x = float32s(np.random.default_rng(0), 100_000)
    bits = bfloat16.nearest(x)
    expected = torch.from_numpy(x).bfloat16()
    assert np.array_equal(bits, expected.view(torch.int16).numpy())
    rounded = bfloat16.floats(bits)
    assert np.array_equal(rounded, expected.float().numpy())
    keys = bfloat16.ordered(bits)
    assert np.array_equal(bfloat16.ordered(keys), bits)
    order = np.argsort(keys, kind="stable")
    assert (np.diff(keys[order].astype(int)) >= 0).all() and (rounded[order][1:] >= rounded[order][:-1]).all()
    normal = np.isfinite(rounded) & (np.abs(rounded) >= np.finfo(np.float32).tiny)
    assert (np.abs(x - rounded)[normal] <= bfloat16.half_step(rounded)[normal]).all()


@pytest.mark.parametrize("flush", [False, True])
def test_a_key_tells_on_which_side_of_a_bound_a_number_was_before_it_was_rounded(flush):
    """Also where the processor makes zeros of numbers below 2**-126, of either sign."""
    rng = np.random.default_rng(1)
    x, bounds = rng.permutation(float32s(rng, 50_000)), rng.permutation(float32s(rng, 50_000))
    n = min(len(x), len(bounds))
    x, bounds = np.r_[x[:n], x[:n], 0.0, -0.0], np.r_[bounds[:n], x[:n], -0.0, 0.0]
    x, bounds = x.astype(np.float32), bounds.astype(np.float32)
    stored = np.where(np.abs(x) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), x), x) if flush else x
    keys = bfloat16.ordered(bfloat16.nearest(stored))
    assert (keys > bfloat16.keys_under(bounds))[x >= bounds].all()
    assert (x > bounds)[keys > bfloat16.keys_over(bounds)].all()


@settings(max_examples=150, deadline=None)
@given(D=DIMENSIONS, x_kind=st.sampled_from(KINDS), y_kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6))
def test_products_are_as_near_to_the_scores_as_is_said(D, x_kind, y_kind, seed):
    rng = np.random.default_rng(seed)
    x, y = vectors(rng, 6, D, x_kind), vectors(rng, 9, D, y_kind)
    scores = score_matrix(x, y).astype(np.float64)
    for kind in (Float32, Bfloat16):
        made = kind(x, lengths(x), y, float(lengths(y).max()), "cpu")
        keys = made.tile(slice(0, 6), slice(0, 9)).copy()
        made.sort_keys(keys, np.arange(6))
        values = made.values(keys.reshape(-1))
        allowed = made.errors[:, None] + made.rounding(values).reshape(6, 9)
        assert (np.abs(values.reshape(6, 9) - scores) <= allowed).all()
        # Bounds at the scores themselves, and just beyond.
        for bounds in (scores.astype(np.float32), np.nextafter(scores.astype(np.float32), np.float32(-np.inf))):
            errors = np.broadcast_to(made.errors[:, None], bounds.shape)
            assert (keys > made.under((bounds - errors).reshape(-1)).reshape(6, 9)).all()
            assert (scores > bounds)[keys > made.over((bounds + errors).reshape(-1)).reshape(6, 9)].all()


@settings(max_examples=12, deadline=None)
@given(D=DIMENSIONS, kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6), k=st.sampled_from([0, 1, 20]))
def test_every_route_gives_the_same_ranking_to_the_last_bit(D, kind, seed, k):
    rng = np.random.default_rng(seed)
    z_GD, Q = vectors(rng, 300, D, kind), 20
    z_QD = z_GD[rng.integers(0, 300, Q)] if rng.random() < 0.5 else vectors(rng, Q, D, kind)
    asked, held = rng.integers(0, 60, Q), rng.integers(0, 60, 300)
    ids = [f"{n:03d}" for n in rng.permutation(300)]
    parts = held_parts(z_GD, ids, held.tolist(), [100, 110])
    routes = [{"precision": "float32"}, {"precision": "bfloat16"}, {"precision": "float32", "device": "cpu"}]
    expected, *others = (rank(Queries.of(z_QD, asked), parts, k, **route) for route in routes)
    for found in others:
        assert found.listed.equals(expected.listed) and np.array_equal(found.top, expected.top)
        assert np.array_equal(found.scores.view(np.int32), expected.scores.view(np.int32))
        for name in ("first", "average_precision", "r_precision"):
            assert np.array_equal(getattr(found.measures, name), getattr(expected.measures, name))


def test_vectors_whose_products_bfloat16_cannot_hold_are_multiplied_in_float32():
    x = np.full((1, 4), 9e18, np.float32)
    assert type(products(x, lengths(x), x, float(lengths(x).max()), precision="bfloat16")) is Float32
    assert type(products(x[:, :1], np.ones(1), x[:, :1], 1.0, precision="bfloat16")) is Bfloat16


class SumsInBfloat16(Bfloat16):
    """What a library does that adds up in the precision of its operands."""

    def __init__(self, queries_QD, query_lengths, vectors_ND, longest, device):
        super().__init__(queries_QD, query_lengths, vectors_ND, longest, device)
        self.operands = [torch.from_numpy(x).bfloat16().float() for x in (queries_QD, vectors_ND)]

    def tile(self, rows: slice, columns: slice) -> np.ndarray:
        x, y = self.operands
        total = torch.zeros(rows.stop - rows.start, columns.stop - columns.start)
        for d in range(x.shape[1]):
            total = (total + x[rows, d, None] * y[None, columns, d]).bfloat16().float()
        return total.bfloat16().view(torch.int16).numpy()


def test_a_machine_whose_sums_are_of_bfloat16_is_found_out():
    assert within_bound(Bfloat16, None) and within_bound(Float32, None)
    assert not within_bound(SumsInBfloat16, None)


def test_what_is_fastest_is_measured_once_and_only_where_there_is_much_to_multiply(monkeypatch):
    asked = []
    monkeypatch.setattr(precision, "_measured", lambda *kind: asked.append(kind) or (2.0, "cpu"))
    monkeypatch.setattr(precision, "_done", {"operations": 0.0})
    x = vectors(np.random.default_rng(0), 100, 8, "plain")
    multiply = lambda: type(products(x, lengths(x), x, 9.0))  # noqa: E731
    assert multiply() is Float32 and not asked
    monkeypatch.setattr(precision, "LOADED", 3 * 2.0 * 100 * 100 * 8)
    assert [multiply() for _ in range(3)] == [Float32, Bfloat16, Bfloat16]
    assert len(asked) == 2
    slower = products(x, lengths(x), x, 9.0, gain=4.0)
    assert type(slower) is Float32 and slower.device == "cpu"  # torch, as was measured


def test_the_measurement_chooses_the_faster_one_and_is_kept(monkeypatch):
    class Slow(Bfloat16):
        def tile(self, rows: slice, columns: slice) -> np.ndarray:
            calls.append(1)
            return [super(Slow, self).tile(rows, columns) for _ in range(300)][-1]

    calls: list[int] = []
    faster, library = precision._measured(None, Float32, Slow)
    assert faster < 1 and library in (None, "cpu")
    made = len(calls)
    assert precision._measured(None, Float32, Slow) == (faster, library) and len(calls) == made > 0
    assert precision._measured("cpu", Float32, Bfloat16)[1] == "cpu"

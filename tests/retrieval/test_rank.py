"""Ranking against sorting the full matrix of exactly rounded scores, however the gallery is cut and searched."""

from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion.errors import InputError
from fashion.retrieval.products import score as scoring
from fashion.retrieval.products import threads
from fashion.retrieval.products.score import error_bound, exact_scores, lengths
from fashion.retrieval.rank import rank
from fashion.retrieval.search import count, scan, survey, tail
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.parts import MemoryPart
from fashion.retrieval.search.queries import Queries
from tests.retrieval.galleries import KINDS, held_parts, measures, order, score, score_matrix, vectors

KINDS, PRECISIONS = st.sampled_from(KINDS), st.sampled_from(["float32", "bfloat16"])


@contextmanager
def small_pieces(rng: np.random.Generator):
    """Cuts the work so small that a small gallery has all seams; and guesses so badly that searches are repeated."""
    sample = int(rng.integers(2, 60))
    sizes = {
        threads: {"QUERY_ROWS": int(rng.integers(1, 8))},
        scan: {
            "TILE_ROWS": int(rng.integers(1, 50)),
            "WIDE_ROWS": int(rng.integers(1, 50)),
            "WAITING": int(rng.integers(1, 200)),
        },
        survey: {
            "TAIL": rng.random(),
            "GROUPS": int(rng.integers(1, 16)),
            "LARGE": int(rng.integers(90)),
            "LISTED": sample,
            "COUNTED": sample,
            "SAMPLED_PARTS": int(rng.integers(1, 4)),
            "AT_ONCE": int(rng.choice([rng.integers(1, 300), 2_000_000])),
        },
        count: {
            "FEW": int(rng.integers(0, 6)),
            "WAITING": int(rng.integers(1, 200)),
        },
        tail: {"PAIRS": int(rng.integers(1, 9)), "HELD": int(rng.integers(1, 50))},
        scoring: {"CHUNK_BYTES": int(rng.integers(8, 4000))},
    }
    with pytest.MonkeyPatch.context() as patch:
        for module, values in sizes.items():
            for name, value in values.items():
                patch.setattr(module, name, value)
        yield


def check(found, scores_QG, ids, matches_QG, left_out_QG, k) -> None:
    for q in range(len(scores_QG)):
        columns = [g for g in order(scores_QG[q], ids) if not left_out_QG[q, g]]
        best = columns[:k]
        assert [found.listed["id"][row].as_py() for row in found.top[q, : len(best)]] == [ids[g] for g in best]
        assert found.scores[q, : len(best)].tolist() == scores_QG[q][best].tolist()
        assert (found.top[q, len(best) :] == -1).all() and np.isneginf(found.scores[q, len(best) :]).all()
        first, ap, rp = measures([bool(matches_QG[q, g]) for g in columns])
        assert found.measures.first[q] == first
        assert found.measures.average_precision[q] == pytest.approx(ap, abs=1e-12)
        assert found.measures.r_precision[q] == pytest.approx(rp, abs=1e-12)
        assert found.matches[q] == matches_QG[q].sum() and found.columns[q] == len(columns)


@settings(max_examples=150, deadline=None)
@given(
    Q=st.integers(1, 10), G=st.integers(1, 90), D=st.integers(1, 9), k=st.integers(0, 30), labels=st.integers(1, 25),
    kind=KINDS, parts=st.integers(1, 6), seed=st.integers(0, 10**6), device=st.sampled_from([None, None, "cpu"]),
    precision=PRECISIONS,
)  # fmt: skip
def test_any_cut_of_the_gallery_ranks_as_sorting_everything_does(
    Q, G, D, k, labels, kind, parts, seed, device, precision
):
    rng = np.random.default_rng(seed)
    z_GD = vectors(rng, G, D, kind)
    z_QD = z_GD[rng.integers(0, G, Q)] if kind in ("copies", "close") else vectors(rng, Q, D, kind)
    ids = [f"image {n:03d}" for n in rng.permutation(G)]
    asked, held = rng.integers(0, labels, Q), rng.integers(0, labels, G)
    cuts = sorted(rng.integers(0, G + 1, parts - 1).tolist())
    with small_pieces(rng):
        found = rank(
            Queries.of(z_QD, asked), held_parts(z_GD, ids, held.tolist(), cuts), k, device=device, precision=precision
        )
    check(found, score_matrix(z_QD, z_GD), ids, asked[:, None] == held, np.zeros((Q, G), bool), k)


@settings(max_examples=60, deadline=None)
@given(Q=st.integers(1, 8), G=st.integers(1, 60), k=st.integers(1, 20), kind=KINDS, parts=st.integers(1, 4),
       seed=st.integers(0, 10**6), precision=PRECISIONS)  # fmt: skip
def test_annotated_pairs_match_and_the_items_other_photos_take_no_rank(Q, G, k, kind, parts, seed, precision):
    rng = np.random.default_rng(seed)
    z_QD, z_GD = vectors(rng, Q, 5, kind), vectors(rng, G, 5, kind)
    images = [f"shop {n:03d}" for n in rng.permutation(G)]
    asked, held = rng.integers(0, 8, Q), rng.integers(0, 8, G)
    paired = (rng.random((Q, G)) < 0.2) & (asked[:, None] == held)
    pairs = [[images[g] for g in np.flatnonzero(row)] + ["not in the gallery"] for row in paired]
    cuts = sorted(rng.integers(0, G + 1, parts - 1).tolist())
    with small_pieces(rng):
        asks = Queries.of(z_QD, asked, pairs)
        found = rank(asks, held_parts(z_GD, images, held.tolist(), cuts, images), k, precision=precision)
    check(found, score_matrix(z_QD, z_GD), images, paired, (asked[:, None] == held) & ~paired, k)


@settings(max_examples=60, deadline=None)
@given(Q=st.integers(1, 8), G=st.integers(1, 60), k=st.integers(1, 20), kind=KINDS, parts=st.integers(1, 4),
       seed=st.integers(0, 10**6), precision=PRECISIONS)  # fmt: skip
def test_items_rank_by_their_best_image(Q, G, k, kind, parts, seed, precision):
    rng = np.random.default_rng(seed)
    z_QD, z_GD = vectors(rng, Q, 5, kind), vectors(rng, G, 5, kind)
    starts = np.unique(np.r_[0, rng.integers(0, G, G // 3)])
    names = [f"item {n:03d}" for n in rng.permutation(len(starts))]
    cuts = np.unique(np.r_[0, rng.integers(0, len(starts), parts - 1), len(starts)])
    held = []
    for number, (a, b) in enumerate(pairwise(cuts.tolist())):
        rows = slice(starts[a], starts[b] if b < len(starts) else G)
        ids = pa.array(names[a:b])
        block = Block(number=number, vectors=z_GD[rows], ids=ids, labels=ids, starts=starts[a:b] - starts[a])
        held.append(MemoryPart(columns=block))
    asked = rng.choice([*names, "nowhere"], Q)
    with small_pieces(rng):
        found = rank(Queries.of(z_QD, asked.tolist()), held, k, precision=precision)
    best = np.maximum.reduceat(score_matrix(z_QD, z_GD), starts, axis=1)
    check(found, best, names, asked[:, None] == np.array(names), np.zeros(best.shape, bool), k)


@settings(max_examples=100, deadline=None)
@given(n=st.integers(1, 40), D=st.integers(1, 300), kind=KINDS, scale=st.floats(1e-6, 1e6), seed=st.integers(0, 10**6))
def test_a_score_is_the_rounded_product_and_fast_products_stay_within_the_bound(n, D, kind, scale, seed):
    rng = np.random.default_rng(seed)
    x, y = vectors(rng, n, D, kind) * np.float32(scale), vectors(rng, n, D, kind)
    pairs = np.arange(n)
    found = exact_scores(x, y, pairs, pairs, float(lengths(x).max() * lengths(y).max()))
    expected = np.array([score(a, b) for a, b in zip(x, y, strict=True)])
    assert found.tolist() == expected.tolist()
    bound = error_bound(D, lengths(x), float(lengths(y).max()))
    assert (np.abs((x @ y.T).diagonal() - expected) <= bound).all()


def test_scores_near_the_middle_between_two_float32_are_rounded_the_right_way():
    # 1 + 2**-24 is the middle; 2**-60 decides, and float64 additions lose it.
    x = np.float32([[1, 2**-24, 2**-60], [1, 2**-24, -(2**-60)]])
    found = exact_scores(x, np.ones((1, 3), np.float32), np.array([0, 1]), np.array([0, 0]), 2.0)
    assert found.tolist() == [1.0, 1.0]  # the middle itself, as float64 has it, goes to the even neighbour
    x[:, 1] *= np.float32(1 + 2**-20)
    assert exact_scores(x, np.ones((1, 3), np.float32), np.array([0]), np.array([0]), 2.0)[0] == np.float32(1 + 2**-23)


def test_ids_above_the_reach_of_float32_and_text_ids_stay_apart():
    base = 2**24
    z = np.float32([[1.0], [2.0], [3.0]])
    held = MemoryPart(
        columns=Block(number=0, vectors=z, ids=pa.array([5, 6, 7]), labels=pa.array([base + 1, base + 2, base]))
    )
    found = rank(Queries.of(np.float32([[1.0], [1.0]]), np.array([base, base + 1])), [held], 1)
    assert found.measures.first.tolist() == [1, 3] and found.matches.tolist() == [1, 1]
    found = rank(Queries.of(z[:2], ["id_1", "id_10"]), held_parts(z, ["c", "b", "a"], ["id_10", "id_1", "id_1"], []), 1)
    assert found.matches.tolist() == [2, 1] and found.measures.first.tolist() == [1, 3]


def test_a_query_without_a_label_or_without_a_match_is_counted_and_matches_nothing():
    z = np.float32([[1.0], [2.0]])
    found = rank(Queries.of(z, ["a", None]), held_parts(z, ["x", "y"], ["b", None], []), 2)
    assert found.matches.tolist() == [0, 0] and found.measures.first.tolist() == [0, 0]
    assert found.measures.average_precision.tolist() == [0, 0] and (found.top >= 0).all()


def test_a_vector_that_is_not_finite_is_refused():
    z = np.float32([[1.0, 2.0], [np.nan, 1.0]])
    with pytest.raises(InputError, match="gallery image y: its vector is not finite"):
        rank(Queries.of(z[:1], ["a"]), held_parts(z, ["x", "y"], ["a", "b"], []), 1)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_large_gallery_of_few_distinct_vectors_is_ranked_by_id(precision):
    """Everything ties: the lists must still be exact, and memory must not grow with queries x gallery."""
    rng = np.random.default_rng(0)
    z_GD = vectors(rng, 3, 8, "plain")[rng.integers(0, 3, 20_000)]
    ids = [f"{n:05d}" for n in rng.permutation(20_000)]
    asked = ids[7:10]
    found = rank(Queries.of(z_GD[7:10], asked), held_parts(z_GD, ids, ids, [5_000, 12_000]), 10, precision=precision)
    check(
        found,
        score_matrix(z_GD[7:10], z_GD),
        ids,
        np.array(asked)[:, None] == np.array(ids),
        np.zeros((3, 20_000), bool),
        10,
    )

"""A search that is stopped goes on after its last whole pass, to the very answer of one that was not; another is refused."""

import numpy as np
import pytest

from fashion.errors import InputError
from fashion.retrieval.rank import Ranking, rank
from fashion.retrieval.search import survey
from fashion.retrieval.search.kept import Kept
from fashion.retrieval.search.parts import map_reduce_here
from fashion.retrieval.search.queries import Queries
from fashion.storage import Store
from tests.retrieval.galleries import held_parts

RNG = np.random.default_rng(0)
Z_GD, Z_QD = (RNG.standard_normal((n, 8), dtype=np.float32) for n in (60, 20))
IDS = [f"{n:02d}" for n in RNG.permutation(60)]
HELD, ASKED = RNG.integers(0, 9, 60).tolist(), RNG.integers(0, 9, 20)
PARTS = held_parts(Z_GD, IDS, HELD, [10, 35])


class Stopped(Exception):
    pass


def stopping(after: int):
    """Asks so many parts, then stops for good; `left` says how many more it would."""
    left = [after]

    def ask_all(ask, join, parts, asked, done=lambda parts: None):
        def counted(*given):
            if not left[0]:
                raise Stopped
            left[0] -= 1
            return ask(*given)

        return map_reduce_here(counted, join, parts, asked, done)

    return ask_all, left


def assert_same(one: Ranking, other: Ranking) -> None:
    ids = [found.listed["id"].take(found.top.reshape(-1)).to_pylist() for found in (one, other)]
    assert ids[0] == ids[1] and np.array_equal(one.scores, other.scores)
    for name in ("first", "average_precision", "r_precision"):
        assert np.array_equal(getattr(one.measures, name), getattr(other.measures, name))


@pytest.mark.parametrize("k", [0, 5])
def test_a_stopped_search_goes_on_to_the_same_answer(k, tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "AT_ONCE", 40)  # several passes
    queries, kept = Queries.of(Z_QD, ASKED), Kept(store=Store(tmp_path), gallery="of today")
    ask_all, left = stopping(10**6)
    whole = rank(queries, PARTS, k, map_reduce=ask_all)
    needed = 10**6 - left[0]
    spent = 0
    for after in (9, 16):
        ask_all, _ = stopping(after)
        with pytest.raises(Stopped):
            rank(queries, PARTS, k, map_reduce=ask_all, kept=kept)
        spent += after
    ask_all, left = stopping(10**6)
    assert_same(rank(queries, PARTS, k, map_reduce=ask_all, kept=kept), whole)
    assert 10**6 - left[0] < needed - 3  # some passes were there
    ask_all, left = stopping(10**6)
    assert_same(rank(queries, PARTS, k, map_reduce=ask_all, kept=kept), whole)
    assert 10**6 - left[0] == len(PARTS)  # all were: the parts are only counted


def test_answers_of_another_search_are_refused(tmp_path):
    kept = Kept(store=Store(tmp_path), gallery="of today")
    rank(Queries.of(Z_QD, ASKED), PARTS, 5, kept=kept)
    moved = Z_QD.copy()
    moved[3, 2] += 1e-3
    for queries, k, gallery, name in (
        (Queries.of(moved, ASKED), 5, "of today", "turns"),
        (Queries.of(Z_QD, ASKED[::-1]), 5, "of today", "turns"),
        (Queries.of(Z_QD, ASKED), 6, "of today", "turns"),
        (Queries.of(Z_QD, ASKED), 5, "of tomorrow", "gallery"),
    ):
        with pytest.raises(InputError, match=f"answers of a search made with {name}"):
            rank(queries, PARTS, k, kept=Kept(store=Store(tmp_path), gallery=gallery))
    rank(Queries.of(Z_QD, ASKED), PARTS, 5, kept=kept)

"""A search that is stopped goes on after its last whole pass, to the very answer of one that was not; what another one left
is not read."""

import os
import signal
from multiprocessing import get_context

import numpy as np
import pytest

from fashion.retrieval.embeddings import EMBEDDING
from fashion.retrieval.evaluate import evaluate
from fashion.retrieval.rank import Ranking, rank
from fashion.retrieval.results import query_table
from fashion.retrieval.search import survey
from fashion.retrieval.search.kept import Kept
from fashion.retrieval.search.parts import map_reduce_here
from fashion.retrieval.search.queries import Queries
from fashion.retrieval.settings import ProtocolSettings
from fashion.storage import Store
from tests.retrieval.galleries import held_parts, item_table, vectors, write_shards

RNG = np.random.default_rng(0)
Z_GD, Z_QD = (RNG.standard_normal((n, 8), dtype=np.float32) for n in (60, 20))
IDS = [f"{n:02d}" for n in RNG.permutation(60)]
HELD, ASKED = RNG.integers(0, 9, 60).tolist(), RNG.integers(0, 9, 20)
PARTS = held_parts(Z_GD, IDS, HELD, [10, 35])
SETTINGS = ProtocolSettings(ks=(1, 5))


class Stopped(Exception):
    pass


def stop():
    raise Stopped


def stopping(after: int, stop=stop):
    """Asks so many parts, then stops for good; `left` says how many more it would."""
    left = [after]

    def ask_all(ask, join, parts, asked, done=lambda parts: None):
        def counted(*given):
            if not left[0]:
                stop()
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


def counted(queries: Queries, k: int, kept: Kept | None) -> tuple[Ranking, int]:
    """The ranking, and how many times a part was asked for it."""
    ask_all, left = stopping(10**6)
    return rank(queries, PARTS, k, map_reduce=ask_all, kept=kept), 10**6 - left[0]


def test_answers_of_another_search_or_damaged_ones_are_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "AT_ONCE", 40)
    kept = Kept(store=Store(tmp_path), gallery="of today")
    queries = Queries.of(Z_QD, ASKED)
    counted(queries, 5, kept)
    moved = Z_QD.copy()
    moved[3, 2] += 1e-3
    for other, k, gallery in (
        (Queries.of(moved, ASKED), 5, "of today"),
        (Queries.of(Z_QD, ASKED[::-1]), 5, "of today"),
        (queries, 6, "of today"),
        (queries, 5, "of tomorrow"),
    ):
        whole, needed = counted(other, k, None)
        found, spent = counted(other, k, Kept(store=Store(tmp_path), gallery=gallery))
        assert_same(found, whole)
        assert spent == needed
    for file in tmp_path.glob("*/pass-00000-00.listed"):
        file.write_bytes(file.read_bytes()[:-20])
    whole, needed = counted(queries, 5, None)
    found, spent = counted(queries, 5, kept)
    assert_same(found, whole)
    assert len(PARTS) < spent < needed  # the survey and the damaged pass
    assert counted(queries, 5, kept)[1] == len(PARTS)  # the survey


def test_a_search_of_one_pass_keeps_nothing(tmp_path):
    rank(Queries.of(Z_QD, ASKED), PARTS, 5, kept=Kept(store=Store(tmp_path), gallery="of today"))
    assert not list(tmp_path.iterdir())


def _killed(folder, table, names, after):
    """Evaluates until so many parts were asked, then is killed."""
    ask_all, _ = stopping(after, stop=lambda: os.kill(os.getpid(), signal.SIGKILL))
    survey.AT_ONCE = 40
    evaluate(folder, {"test": names}, table, SETTINGS, crop="whole", map_reduce=ask_all, kept=folder / "search")


def test_an_evaluation_that_was_killed_goes_on_to_the_same_numbers(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    rows = [
        {"item": f"id_{n % 30:03d}", "image": f"img/{n}.jpg", "domain": "shop", "role": role, EMBEDDING: z, "pairs": []}
        | {"category": ["Tee", "Dress"][n % 2], "clothes_type": 1}
        for n, (z, role) in enumerate(
            zip(vectors(rng, 120, 6, "plain"), ["query", "gallery", "gallery"] * 40, strict=True)
        )
    ]
    store, table = Store(tmp_path), item_table("consumer-to-shop")
    names = write_shards(store, "test", rows, [n % 4 for n in range(120)], kinds=(EMBEDDING,))
    monkeypatch.setattr(survey, "AT_ONCE", 40)

    def evaluated(kept):
        ask_all, left = stopping(10**6)
        found = evaluate(store, {"test": names}, table, SETTINGS, crop="whole", map_reduce=ask_all, kept=kept)
        return found, 10**6 - left[0]

    whole, needed = evaluated(None)
    assert needed >= 5 * len(names)  # the first pass, and several
    process = get_context("spawn").Process(target=_killed, args=(store, table, names, needed - 6))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    again, asked = evaluated(store / "search")
    assert asked < needed - 6
    assert again.metrics == whole.metrics
    assert query_table(again).equals(query_table(whole))

"""Threads of ours share the queries, and the libraries below start none meanwhile."""

import threading

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from fashion.retrieval.products import threads
from fashion.retrieval.products.threads import alone, of_queries


def of_libraries() -> list[int]:
    blas = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    assert blas  # NumPy's at least
    return [*blas, torch.get_num_threads()]


@pytest.fixture(autouse=True)
def several(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with threadpool_limits(2, user_api="blas"):
        yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("queries", [0, 1, 63, 64, 65, 512, 1537, 4000])
def test_every_query_is_in_one_slice_and_answers_are_in_order(queries):
    answers = of_queries(lambda rows: (rows.start, rows.stop, threading.get_ident()), queries)
    covered = [row for start, stop, _ in answers for row in range(start, stop)]
    assert covered == list(range(queries))
    assert all(stop - start <= threads.QUERY_ROWS for start, stop, _ in answers)
    here = {ident for _, _, ident in answers} == {threading.get_ident()}
    assert here == (queries in range(1, threads.FEWEST_ROWS + 1)) or not queries


def test_of_many_threads_none_is_without_queries(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    assert len(of_queries(lambda rows: rows, 4000)) == 16


def test_libraries_are_held_to_one_thread_while_ours_work_and_no_longer():
    assert set(of_libraries()) == {2}
    assert of_queries(lambda rows: of_libraries(), 1000) == [[1] * len(of_libraries())] * 3
    assert set(of_libraries()) == {2}


def test_what_fails_in_a_thread_is_raised_and_the_libraries_have_their_threads_again():
    def fail(rows: slice) -> None:
        raise ValueError(f"rows {rows.start}")

    with pytest.raises(ValueError, match="rows 0"):
        of_queries(fail, 1000)
    assert set(of_libraries()) == {2}


def test_of_several_that_search_at_a_time_each_leaves_the_libraries_as_they_were():
    entered = threading.Barrier(2)

    def other() -> None:
        with alone():
            entered.wait(10)
            leave.wait(10)

    for first_leaves_last in (False, True):
        leave = threading.Event()
        thread = threading.Thread(target=other)
        with alone():
            thread.start()
            entered.wait(10)
            if first_leaves_last:
                leave.set()
                thread.join()
        leave.set()
        thread.join()
        assert set(of_libraries()) == {2}


def test_a_search_in_several_threads_equals_one_in_one(monkeypatch):
    from fashion.retrieval.rank import rank
    from fashion.retrieval.search.queries import Queries
    from tests.retrieval.galleries import held_parts

    rng = np.random.default_rng(0)
    z_QD, z_GD = (rng.standard_normal((n, 16), dtype=np.float32) for n in (700, 900))
    ids, held = [f"{n:04d}" for n in range(900)], rng.integers(0, 60, 900)
    parts = held_parts(z_GD, ids, held.tolist(), [400])
    queries = Queries.of(z_QD, rng.integers(0, 60, 700))
    found = rank(queries, parts, 7)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    expected = rank(queries, parts, 7)
    assert np.array_equal(found.top, expected.top) and np.array_equal(found.scores, expected.scores)
    assert np.array_equal(found.measures.average_precision, expected.measures.average_precision)

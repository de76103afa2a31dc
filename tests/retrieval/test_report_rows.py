import numpy as np
import pytest

from fashion.retrieval.report import QueryRow, choose_rows


def row(name: str, rank: int | None, average_precision: float = 0.5) -> QueryRow:
    return QueryRow(
        image=f"photo of {name}", item=name, domain="consumer", rank=rank, average_precision=average_precision
    )


def ranked(seed: int) -> list[QueryRow]:
    rng = np.random.default_rng(seed)
    ranks = [1] * 60 + list(range(2, 42)) + [None] * 9
    return [row(f"q{i:03}", rank, float(rng.choice([0.25, 0.5, 1.0]))) for i, rank in enumerate(ranks)]


def test_chosen_rows_are_the_best_the_middle_of_the_wrong_and_the_worst():
    chosen = choose_rows(ranked(0), 5, seed=1)
    assert [(r.rank, r.average_precision) for r in chosen[:5]] == [(1, 1.0)] * 5
    # 40 queries whose first answer is wrong stand at ranks 2 to 41: 19..23 leave 17 on one side and 18 on the other.
    assert [r.rank for r in chosen[5:]] == [19, 20, 21, 22, 23, 37, 38, 39, 40, 41]
    assert len({r.image for r in chosen}) == 15


def test_the_choice_depends_on_the_seed_alone_and_not_on_the_order():
    rows = ranked(0)
    shuffled = [rows[i] for i in np.random.default_rng(9).permutation(len(rows))]
    assert choose_rows(shuffled, 5, seed=1) == choose_rows(rows, 5, seed=1)
    assert choose_rows(rows, 5, seed=2)[:5] != choose_rows(rows, 5, seed=1)[:5]
    assert choose_rows(rows, 5, seed=2)[5:] == choose_rows(rows, 5, seed=1)[5:]


@pytest.mark.parametrize("wrong", [0, 1, 5, 6, 11, 19, 20])
def test_no_row_is_chosen_twice_however_few_are_wrong(wrong):
    rows = [row(f"q{i:02}", 1 if i >= wrong else i + 2) for i in range(20)]
    chosen = choose_rows(rows, 5, seed=0)
    assert len({r.image for r in chosen}) == len(chosen) == 15
    ranks = sorted(r.rank for r in rows)
    assert [r.rank for r in chosen[:5]] == ranks[:5] and [r.rank for r in chosen[-5:]] == ranks[-5:]


def test_few_rows_are_all_chosen_but_for_those_without_a_match():
    rows = [row("a", 3), row("b", None), row("c", 1), row("d", 2)]
    assert [r.item for r in choose_rows(rows, 1, seed=0)] == ["c", "d", "a"]
    assert choose_rows([], 5, seed=0) == []

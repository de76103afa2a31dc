"""One rule for every folder that holds one thing: the same settings pass, others are refused by the first that differs."""

import pytest

from fashion.errors import InputError
from fashion.identity import check_same, difference
from fashion.storage import Store


@pytest.mark.parametrize(
    ("theirs", "mine", "expected"),
    [
        ({}, {}, None),
        ({"a": 2, "b": [1, 2]}, {"b": (1, 2), "a": 2.0}, None),
        ({"a": float("inf")}, {"a": float("inf")}, None),
        ({"a": True}, {"a": False}, ("a", True, False)),
        ({"loss": {"margin": 0.1, "name": "x"}}, {"loss": {"margin": 0.2, "name": "y"}}, ("loss.margin", 0.1, 0.2)),
        ({"a": None}, {}, None),
        ({"a": 1}, {}, ("a", 1, None)),
        ({"a": {"b": 1}}, {"a": None}, ("a", {"b": 1}, None)),
    ],
)
def test_the_first_difference_is_named_with_both_values(theirs, mine, expected):
    assert difference(theirs, mine) == expected
    assert difference(mine, theirs) == (expected and (expected[0], expected[2], expected[1]))


def test_another_is_refused_in_one_line(tmp_path):
    store = Store(tmp_path)
    check_same(store, "a run", {"seed": 0}, {"seed": 0}, "choose another --run")
    with pytest.raises(InputError) as refused:
        check_same(store, "a run", {"seed": 0}, {"seed": 1}, "choose another --run")
    assert str(refused.value) == f"{tmp_path}: holds a run made with seed 0, and 1 was asked for; choose another --run"

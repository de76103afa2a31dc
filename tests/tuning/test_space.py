"""The search space: what is refused, what is drawn, conditions, and ends of ranges."""

import itertools
from collections import Counter

import pytest

from fashion.errors import InputError
from fashion.tuning.halton import even
from fashion.tuning.space_file import parse_space

IMPROVED = {
    # In an order in which settings refer forward: the space sorts itself.
    "loss.bound": {"uniform": [0.01, {"below": "loss.margin"}], "when": {"loss.name": "improved-triplet"}},
    "loss.margin": {"loguniform": [0.05, 1.0]},
    "loss.name": {"choice": ["triplet", "improved-triplet"]},
    "network.dimension": {"integers": [32, 35]},
}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({}, "^space: empty"),
        (
            {"loss.margn": {"choice": [1]}},
            r"space\.loss\.margn: train\.py has no such setting; did you mean loss\.margin",
        ),
        ({"loss.margin": [0.1, 0.2]}, r"space\.loss\.margin: found \[0\.1, 0\.2\], expected one of choice"),
        ({"loss.margin": {"normal": [0, 1]}}, "expected one of choice"),
        ({"loss.margin": {"uniform": [0.5, 0.1]}}, "expected the lower end first"),
        ({"loss.margin": {"loguniform": [0, 1]}}, "expected an end above 0; use uniform"),
        ({"loss.margin": {"uniform": [0.1]}}, "expected two ends"),
        ({"loss.margin": {"choice": [0.1, 0.1]}}, "a value twice"),
        ({"loss.margin": {"choice": ["wide"]}}, "found 'wide', expected a number or null"),
        ({"loss.mining": {"choice": ["soft"]}}, "expected one of random, all, hard"),
        ({"loss.mining": {"uniform": [0, 1]}}, r"space\.loss\.mining: found 0, expected one of random"),
        ({"batch.items": {"choice": [16.5]}}, "found 16.5, expected a whole number"),
        ({"batch.items": {"uniform": [16, 32]}}, "expected integers or choice"),
        ({"loss.bound": {"uniform": [0.1, {"below": "loss.margin"}]}}, "refers to loss.margin, which is not searched"),
        (
            {"loss.margin": {"choice": [0.1], "when": {"loss.name": "triplet"}}, "loss.name": {"choice": ["tuplet"]}},
            "when loss.name is triplet, which is none of its choices",
        ),
        (
            {
                "loss.margin": {"uniform": [0.1, {"below": "loss.bound"}]},
                "loss.bound": {"uniform": [0.1, {"below": "loss.margin"}]},
            },
            "refers to itself",
        ),
    ],
)
def test_a_wrong_space_is_one_line_that_names_the_setting(raw, said):
    with pytest.raises(InputError, match=said) as found:
        parse_space(raw)
    assert "\n" not in str(found.value)


def test_draws_keep_ranges_conditions_and_order():
    space = parse_space(IMPROVED)
    draws = [space.draw(5, i) for i in range(300)]
    for values in draws:
        assert 0.05 <= values["loss.margin"] <= 1 and values["network.dimension"] in (32, 33, 34, 35)
        improved = values["loss.name"] == "improved-triplet"
        assert ("loss.bound" in values) == improved
        if improved:
            assert 0.01 <= values["loss.bound"] < values["loss.margin"]
    assert abs(sum("loss.bound" in values for values in draws) - 150) <= 3
    assert set(Counter(v["network.dimension"] for v in draws)) == {32, 33, 34, 35}


def test_a_trial_depends_on_seed_and_number_alone():
    space = parse_space(IMPROVED)
    assert [space.draw(1, i) for i in (7, 3)] == [space.draw(1, i) for i in range(8)][7:2:-4]
    assert space.draw(1, 3) != space.draw(2, 3)
    wider = parse_space({**IMPROVED, "loss.margin": {"loguniform": [0.05, 2.0]}})
    assert wider.draw(1, 3)["loss.name"] == space.draw(1, 3)["loss.name"]


@pytest.mark.parametrize("base", [2, 3, 7])
def test_draws_are_even_in_every_run_of_the_base_and_not_alike_between_settings(base):
    for start in range(0, 20 * base, base):
        parts = sorted(int(even(i, base, 0, "a") * base) for i in range(start, start + base))
        assert parts == list(range(base))
    fine = sorted(int(even(i, base, 0, "a") * base**3) for i in range(base**3))
    assert fine == list(range(base**3))
    assert [even(i, base, 0, "a") for i in range(9)] != [even(i, base, 0, "b") for i in range(9)]


def test_a_grid_is_the_product_of_the_choices_without_what_is_not_used():
    raw = {
        "loss.name": {"choice": ["triplet", "tuplet"]},
        "loss.margin": {"choice": [0.1, "2e-1"]},
        "loss.mining": {"choice": ["all", "hard"], "when": {"loss.name": "triplet"}},
    }
    expected = [
        {"loss.name": "triplet", "loss.margin": m, "loss.mining": g} for m in (0.1, 0.2) for g in ("all", "hard")
    ]
    expected += [{"loss.name": "tuplet", "loss.margin": m} for m in (0.1, 0.2)]
    assert parse_space(raw).grid() == expected
    with pytest.raises(InputError, match=r"space\.loss\.margin: a grid needs"):
        parse_space({"loss.margin": {"uniform": [0, 1]}}).grid()


def test_corners_hold_every_end_of_every_range():
    corners = parse_space(IMPROVED).corners(100)
    plain = [c for c in corners if c["loss.name"] == "triplet"]
    assert {(c["loss.margin"], c["network.dimension"]) for c in plain} == set(
        itertools.product({c["loss.margin"] for c in plain}, (32, 35))
    )
    assert min(c["loss.margin"] for c in plain) == 0.05 and max(c["loss.margin"] for c in plain) == pytest.approx(1)
    bounds = [c["loss.bound"] / c["loss.margin"] for c in corners if "loss.bound" in c]
    assert 0.999 < max(bounds) < 1
    few = parse_space(IMPROVED).corners(6)
    assert {c["network.dimension"] for c in few} == {32, 35} and {c["loss.name"] for c in few} >= {"triplet"}

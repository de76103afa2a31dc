import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Literal

import pytest

from fashion.errors import InputError
from fashion.setting_ranges import Allowed, allowed_in, check, setting


@dataclass(frozen=True, kw_only=True)
class Inner:
    share: float = setting(0.5, above=0, below=1, note="a fraction such as 0.5")
    ks: tuple[int, ...] = setting((1, 5), least=1)

    def __post_init__(self) -> None:
        check(self, "inner")


@dataclass(frozen=True, kw_only=True)
class Outer:
    size: int | None = setting(None, least=8, unit="pixels")
    angle: float = setting(0, least=-180, most=180, unit="degrees")
    kind: Literal["flat", "round"] | None = None
    splits: tuple[Literal["val", "test"], ...] | None = None
    free: int = -1
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        check(self)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"size": 7}, "size: found 7, expected at least 8 pixels"),
        ({"size": "large"}, "size: found large, expected at least 8 pixels"),
        ({"angle": math.nan}, "angle: found nan, expected -180 to 180 degrees"),
        ({"angle": math.inf}, "angle: found inf, expected -180 to 180 degrees"),
        ({"angle": 180.5}, "angle: found 180.5, expected -180 to 180 degrees"),
        ({"kind": "square"}, "kind: found 'square', expected one of flat, round or null"),
        ({"splits": ("val", "train")}, "splits: found 'train', expected a list of val, test or null"),
    ],
)
def test_what_is_outside_is_one_line_with_the_setting_and_what_was_expected(changes, message):
    with pytest.raises(InputError) as refused:
        Outer(**changes)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"share": 0}, "inner.share: found 0, expected above 0 to below 1: a fraction such as 0.5"),
        ({"share": 1.0}, "inner.share: found 1.0, expected above 0 to below 1: a fraction such as 0.5"),
        ({"ks": (5, 0)}, "inner.ks: found [5, 0], expected at least 1"),
    ],
)
def test_a_group_is_named_and_a_note_follows(changes, message):
    with pytest.raises(InputError) as refused:
        Inner(**changes)
    assert str(refused.value) == message


def test_the_ends_of_a_range_are_as_they_are_said():
    assert Outer(size=8, angle=-180, kind="round", splits=("test",)) and Outer(angle=180, size=None)
    for allowed, inside, outside in [
        (Allowed(least=0), (0, 1e9), (-1e-9,)),
        (Allowed(above=0), (1e-9,), (0, -1)),
        (Allowed(most=2), (-5, 2), (2.1,)),
        (Allowed(below=2), (1.9,), (2,)),
    ]:
        assert all(value in allowed for value in inside) and not any(value in allowed for value in outside)


def test_a_range_changes_neither_the_values_nor_how_they_are_copied():
    assert asdict(Outer()) == {
        "size": None, "angle": 0, "kind": None, "splits": None, "free": -1, "inner": {"share": 0.5, "ks": (1, 5)},
    }  # fmt: skip
    assert replace(Outer(), size=9).size == 9
    assert [f.default for f in fields(Inner)] == [0.5, (1, 5)]


def test_ranges_go_by_dotted_names():
    assert {name: str(allowed) for name, allowed in allowed_in(Outer).items()} == {
        "size": "at least 8 pixels",
        "angle": "-180 to 180 degrees",
        "inner.share": "above 0 to below 1",
        "inner.ks": "at least 1",
    }

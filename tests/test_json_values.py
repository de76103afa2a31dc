import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from fashion.errors import InputError
from fashion.json_values import inline, left_out, of_plain, to_plain
from fashion.storage import Store


@dataclass(frozen=True, kw_only=True)
class Shard:
    name: str
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Manifest:
    kind: Literal["table"] = "table"
    seconds: float
    rest: dict[str, Any] = inline()
    shards: tuple[Shard, ...]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    note: str | None = None
    old: tuple[str, int] | None = None
    only: Shard | None = left_out()


PLAIN = {
    "kind": "table", "seconds": 2, "network": "ab", "transform": {"mean": [0.5]},
    "shards": [{"name": "a", "groups": [1, 2]}, {"name": "b", "groups": []}], "counts": {"train": {"images": 3}},
    "note": None, "old": ["a", 1],
}  # fmt: skip


def test_a_value_comes_back_and_is_written_as_it_was_read_name_by_name():
    value = of_plain(Manifest, PLAIN)
    assert value.shards == (Shard(name="a", groups=(1, 2)), Shard(name="b"))
    assert value.rest == {"network": "ab", "transform": {"mean": [0.5]}} and value.only is None
    assert json.dumps(to_plain(value)) == json.dumps(PLAIN)
    more = of_plain(Manifest, PLAIN | {"only": {"name": "c", "of a later version": 1}})
    assert more.only == Shard(name="c") and to_plain(more)["only"] == {"name": "c", "groups": []}


def test_what_an_older_file_does_not_say_is_the_default():
    assert of_plain(Manifest, {"seconds": 0.5, "shards": []}) == Manifest(seconds=0.5, shards=())


@pytest.mark.parametrize(
    "change, message",
    [
        ({"seconds": "2"}, "seconds is '2', expected a number"),
        ({"seconds": True}, "seconds is True, expected a number"),
        ({"kind": "run"}, "kind is 'run', expected one of table"),
        ({"shards": {}}, "shards is {}, expected a list"),
        ({"shards": [{"name": "a", "groups": [1.5]}]}, "shards.0.groups.0 is 1.5, expected a whole number"),
        ({"shards": [{"groups": []}]}, "shards.0.name is missing"),
        ({"shards": ["a"]}, "shards.0 is 'a', expected an object"),
        ({"counts": {"train": {"images": None}}}, "counts.train.images is None, expected a whole number"),
        ({"note": 3}, "note is 3, expected text"),
        ({"old": ["a"]}, "old is ['a'], expected a list of 2"),
        ({"old": ["a", "b"]}, "old.1 is 'b', expected a whole number"),
        ({"only": []}, "only is [], expected an object"),
    ],
)
def test_what_is_of_another_type_is_named_in_its_place(change, message, tmp_path):
    with pytest.raises(ValueError) as fault:
        of_plain(Manifest, PLAIN | change)
    assert str(fault.value) == message
    store = Store(tmp_path)
    store.write_json("m.json", PLAIN | change)
    with pytest.raises(InputError) as refused:
        store.read_value("m.json", Manifest)
    assert message in str(refused.value) and "m.json: is damaged" in str(refused.value)


@dataclass(frozen=True)
class Counted:
    images: int

    def __post_init__(self) -> None:
        if self.images < 0:
            raise ValueError(f"images is {self.images}, expected 0 or more")


@dataclass(frozen=True)
class Several:
    rows: tuple[Counted, ...]


def test_what_a_class_refuses_is_named_in_its_place():
    with pytest.raises(ValueError, match=r"^rows\.1\.images is -1, expected 0 or more$"):
        of_plain(Several, {"rows": [{"images": 1}, {"images": -1}]})


def test_all_of_it_may_be_something_else():
    with pytest.raises(ValueError, match=r"^all of it is \[\], expected an object$"):
        of_plain(Manifest, [])

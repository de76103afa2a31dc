"""A folder holds one thing: what it was made from and how is written there, and a job that asks for another is refused."""

import math
from collections.abc import Mapping
from typing import Any

from fashion.errors import InputError
from fashion.storage import Store


def check_same(store: Store, kind: str, theirs: Mapping, mine: Mapping, advice: str) -> None:
    """Whether the folder's `kind` (a run, an item table) is of the very settings asked for; nested ones are compared by
    dotted names. Raises InputError naming the first that differs, with both values."""
    if different := difference(theirs, mine):
        name, there, here = different
        raise InputError(f"{store.uri}: holds {kind} made with {name} {there!r}, and {here!r} was asked for; {advice}")


def difference(theirs: Mapping, mine: Mapping, prefix: str = "") -> tuple | None:
    """(dotted name, their value, mine) of the first setting that differs; None where none does. A setting that is not
    there is None, and JSON's ways to write a value do not matter: 2 is 2.0, and a list a tuple."""
    for name in sorted(theirs.keys() | mine.keys()):
        there, here = theirs.get(name), mine.get(name)
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            if different := difference(there, here, f"{prefix}{name}."):
                return different
        elif _plain(there) != _plain(here):
            return f"{prefix}{name}", there, here
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    return list(value) if isinstance(value, tuple) else value

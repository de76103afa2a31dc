"""Dataclasses as JSON files hold them, and back.

A field is a name of the object, in the class's order. One that is `left_out()` is not written where it is None, and one
that is `inline()`, a dictionary, stands with its own names among the others': reading gives it all names that no field has.
What a file does not say takes the field's default; names that no field takes are passed over.
"""

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Value = TypeVar("Value")
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
_SHOWN = 40  # characters of a value


def left_out() -> Any:
    """A field that a file has only where it is not None."""
    return dataclasses.field(default=None, metadata={"left_out": True})


def inline() -> Any:
    """A dictionary whose names stand in the object itself."""
    return dataclasses.field(default_factory=dict, metadata={"inline": True})


def to_plain(value: Any) -> Any:
    """What JSON can say of a value: dictionaries, lists, texts, numbers."""
    if is_dataclass(value):
        plain: dict[str, Any] = {}
        for field in fields(value):
            inner = getattr(value, field.name)
            if field.metadata.get("inline"):
                plain |= to_plain(inner)
            elif inner is not None or not field.metadata.get("left_out"):
                plain[field.name] = to_plain(inner)
        return plain
    if isinstance(value, Mapping):
        return {name: to_plain(inner) for name, inner in value.items()}
    return [to_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def of_plain(kind: type[Value], plain: Any, name: str = "") -> Value:
    """The value that was written so. Raises ValueError with the place that is of another type than the field, or that the
    class itself refuses by a ValueError that begins with the field's name."""
    return _of(kind, plain, name)


def _of(kind: Any, plain: Any, name: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _object(kind, plain, name)
    if origin in (Union, types.UnionType):
        fitting = [option for option in inner if _fits(option, plain)]
        return _of(fitting[0] if fitting else inner[0], plain, name)
    if not _fits(kind, plain):
        raise ValueError(_other(name, plain, _expected(kind)))
    if origin is tuple:
        kinds = [inner[0]] * len(plain) if inner[-1] is Ellipsis else inner
        if len(kinds) != len(plain):
            raise ValueError(_other(name, plain, f"a list of {len(kinds)}"))
        return tuple(_of(kinds[i], value, f"{name}.{i}") for i, value in enumerate(plain))
    if origin is list:
        return [_of(inner[0], value, f"{name}.{i}") for i, value in enumerate(plain)]
    if origin is dict:
        return {key: _of(inner[1], value, f"{name}.{key}") for key, value in plain.items()}
    return plain


def _object(kind: Any, plain: Any, name: str) -> Any:
    if not isinstance(plain, dict):
        raise ValueError(_other(name, plain, "an object"))
    hints, values = _hints(kind), {}
    for field in fields(kind):
        place = f"{name}.{field.name}"
        if field.metadata.get("inline"):
            left = {key: value for key, value in plain.items() if key not in hints}
            values[field.name] = _of(hints[field.name], left, name)
        elif field.name in plain:
            values[field.name] = _of(hints[field.name], plain[field.name], place)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{place.lstrip('.')} is missing")
    try:
        return kind(**values)
    except ValueError as fault:  # of the class: what types do not say
        raise ValueError(f"{name}.{fault}".lstrip(".")) from None


def _fits(kind: Any, plain: Any) -> bool:
    origin = get_origin(kind) or kind
    if origin is Any:
        return True
    if origin is Literal:
        return plain in get_args(kind)
    if origin in (int, float):
        return isinstance(plain, int if origin is int else int | float) and not isinstance(plain, bool)
    return isinstance(plain, {tuple: list}.get(origin, dict if is_dataclass(origin) else origin))


def _expected(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    plain = get_origin(kind) or kind
    return "a list" if plain in (tuple, list) else "an object" if plain is dict else _WORDS.get(plain, str(plain))


def _other(name: str, plain: Any, expected: str) -> str:
    shown = repr(plain)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return f"{name.lstrip('.') or 'all of it'} is {shown}, expected {expected}"


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)

"""The settings of a dataclass by their dotted names (`loss.margin`): of which type each is, and what is wrong with a name
or a null."""

import difflib
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from fashion.errors import InputError

Part = TypeVar("Part")


@cache
def types_of(settings: type) -> dict[str, Any]:
    """Every setting, and every group of settings, by its dotted name, with its type."""
    return dict(_walk(settings, ""))


def _walk(settings: type, prefix: str) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(settings)
    for field in fields(settings):
        kind = hints[field.name]
        yield f"{prefix}{field.name}", kind
        if isinstance(kind, type) and is_dataclass(kind):
            yield from _walk(kind, f"{prefix}{field.name}.")


def options(kind: Any) -> tuple:
    """The types that a value may be of."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def choices_of(kind: Any) -> tuple:
    """The values that a Literal admits, or a list of such; empty for other types."""
    kinds = [option for option in options(kind) if option is not type(None)]
    if len(kinds) == 1 and get_origin(kinds[0]) is tuple:
        kinds = [option for option in get_args(kinds[0]) if option is not ...]
    return get_args(kinds[0]) if len(kinds) == 1 and get_origin(kinds[0]) is Literal else ()


def expected(kind: Any) -> str:
    """The type in words."""
    return " or ".join(_words(option) for option in options(kind))


def _words(kind: Any) -> str:
    if choices := choices_of(kind):
        return ("one of " if get_origin(kind) is Literal else "a list of ") + ", ".join(map(str, choices))
    if is_dataclass(kind):
        return "a group of settings"
    named = {
        int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null",
        list: "a list", tuple: "a list", dict: "settings by name",
    }  # fmt: skip
    return named.get(get_origin(kind) or kind, str(kind))


def suggestion(name: str, known: Iterable[str], otherwise: str) -> str:
    """What may have been meant by an unknown name."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else otherwise


def check_names(settings: type, names: Iterable[str]) -> None:
    """Raise InputError where a dotted name is none of the settings'. Below a dictionary's name anything goes."""
    known = types_of(settings)
    free = tuple(f"{name}." for name, kind in known.items() if dict in {get_origin(o) or o for o in options(kind)})
    for name in names:
        if name not in known and not (free and name.startswith(free)):
            raise InputError(f"{name}: no such setting; {suggestion(name, known, '--help lists the settings')}")


def names_in(settings: type, values: Mapping) -> Iterator[str]:
    """The dotted names of nested values, each group's name before those in it."""
    known = types_of(settings)
    left = [(str(name), value) for name, value in values.items()]
    while left:
        name, value = left.pop(0)
        yield name
        if isinstance(value, Mapping) and is_dataclass(known.get(name)):
            left = [(f"{name}.{inner}", under) for inner, under in value.items()] + left


def check_nulls(settings: type, values: Mapping) -> None:
    """Raise InputError where nested values have null for a setting whose type does not admit it."""
    for name, kind in types_of(settings).items():
        value: Any = values
        for part in name.split("."):
            value = value.get(part, ...) if isinstance(value, Mapping) else ...
        if value is None and kind is not Any and type(None) not in options(kind):
            raise InputError(f"{name}: found null, expected {expected(kind)}; leave it out for the default")


def defaults_in(settings: type, prefix: str = "") -> dict[str, Any]:
    """The defaults of the settings in groups, by dotted name, as their classes write them down."""
    hints = get_type_hints(settings)
    defaults: dict[str, Any] = {}
    for group in fields(settings):
        kind = hints[group.name]
        if isinstance(kind, type) and is_dataclass(kind) and group.default_factory is kind:
            name = f"{prefix}{group.name}."
            defaults |= {f"{name}{f.name}": f.default for f in fields(kind) if f.default is not MISSING}
            defaults |= defaults_in(kind, name)
    return defaults


def require_folders(settings: object, *names: str) -> None:
    """Raise InputError for the first of these settings, folders all, that is not given."""
    for name in names:
        if not getattr(settings, name):
            raise missing_folder(name)


def missing_folder(name: str) -> InputError:
    """What is said where a setting is not given that is a folder."""
    return InputError(f"{name}: missing; expected a local folder or s3://bucket/prefix (--{name})")


def part_of(settings: object, kind: type[Part]) -> Part:
    """The settings of `kind` alone, of an object that has more."""
    return kind(**{field.name: getattr(settings, field.name) for field in fields(kind)})  # type: ignore[arg-type]

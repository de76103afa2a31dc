"""Settings of a training run changed by name: `loss.margin` -> 0.3."""

import difflib
import types
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from fashion.errors import InputError
from fashion.training.settings import TrainSettings

Values = dict[str, Any]


@cache
def setting_types() -> dict[str, Any]:
    """Every setting of a training run by its dotted name, with its type."""
    return dict(_walk(TrainSettings, ""))


def _walk(settings: type, prefix: str):
    hints = get_type_hints(settings)
    for field in fields(settings):
        kind = hints[field.name]
        if is_dataclass(kind):
            yield from _walk(kind, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", kind


def check_name(name: str) -> None:
    """Raise InputError where no setting of a training run has this name."""
    known = setting_types()
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else "jobs/train.py --help lists the settings"
    raise InputError(f"space.{name}: train.py has no such setting; {hint}")


def convert(name: str, value: Any) -> Any:
    """The value as the setting's type. Raises InputError where it is of another one."""
    kind = setting_types()[name]
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    for option in options:
        accepted, converted = _as(option, value)
        if accepted:
            return converted
    expected = " or ".join(_words(option) for option in options)
    raise InputError(f"space.{name}: found {value!r}, expected {expected}")


def _as(kind: Any, value: Any) -> tuple[bool, Any]:
    if get_origin(kind) is Literal:
        return value in get_args(kind), value
    if kind is type(None):
        return value is None, value
    if isinstance(value, bool) or kind is bool:
        return kind is bool and isinstance(value, bool), value
    if kind is float:
        if isinstance(value, str):  # YAML reads 1e-4, without a point, as text
            try:
                return True, float(value)
            except ValueError:
                return False, value
        return isinstance(value, int | float), float(value) if isinstance(value, int | float) else value
    if kind is int:
        whole = isinstance(value, int) or (isinstance(value, float) and value == int(value))
        return whole, int(value) if whole else value
    return isinstance(value, kind), value


def _words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    return names.get(kind, str(kind))


def written(value: Any) -> str:
    """A setting's value as people write it."""
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)


def override(base: TrainSettings, values: Values) -> TrainSettings:
    """`base` with the named settings changed, all at once. Raises InputError where the result is no valid run."""
    tree: dict = {}
    for name, value in values.items():
        *groups, leaf = name.split(".")
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
        place[leaf] = value
    return _replace(base, tree)


def _replace(settings: Any, tree: dict) -> Any:
    changed = {
        name: _replace(getattr(settings, name), value) if is_dataclass(getattr(settings, name)) else value
        for name, value in tree.items()
    }
    return replace(settings, **changed)

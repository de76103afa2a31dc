"""What a JSON file of ours holds: said where the file is described, checked where it is read.

A shape is a type or a union of types, where float is any number and object anything; {"name": shape, "other?": shape}, an
object with these names, of which `other` may be missing, and whatever more; {"*": shape}, an object of any names; [shape],
a list, and [shape, ...] one that is not empty; or a pattern that a text matches as a whole.
"""

import re
from types import UnionType
from typing import Any

Shape = type | UnionType | dict | list | re.Pattern

_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}
_SHOWN = 40  # characters of a value


def misfit(value: Any, shape: Shape, name: str = "") -> str | None:
    """The first place where `value` is not of this shape, in words; None where all is."""
    if isinstance(shape, dict):
        return _misfit_of_object(value, shape, name)
    if isinstance(shape, list):
        return _misfit_of_list(value, shape, name)
    if isinstance(shape, re.Pattern):
        fits = isinstance(value, str) and shape.fullmatch(value) is not None
        return None if fits else _other(name, value, f"text as {shape.pattern}")
    fits = isinstance(value, int | float if shape is float else shape)
    if fits and (shape in (bool, object) or not isinstance(value, bool)):
        return None
    return _other(name, value, _WORDS.get(shape, str(shape)))


def _misfit_of_object(value: Any, shape: dict, name: str) -> str | None:
    if not isinstance(value, dict):
        return _other(name, value, "an object")
    for key, inner in shape.items():
        for plain in value if key == "*" else [key.removesuffix("?")]:
            if plain not in value:
                if not key.endswith("?"):
                    return f"{name}.{plain} is missing".lstrip(".")
            elif fault := misfit(value[plain], inner, f"{name}.{plain}"):
                return fault
    return None


def _misfit_of_list(value: Any, shape: list, name: str) -> str | None:
    if not isinstance(value, list) or not (value or len(shape) == 1):
        return _other(name, value, "a list" if len(shape) == 1 else "a list that is not empty")
    return next((fault for i, inner in enumerate(value) if (fault := misfit(inner, shape[0], f"{name}.{i}"))), None)


def _other(name: str, value: Any, expected: str) -> str:
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return f"{name.lstrip('.') or 'all of it'} is {shown}, expected {expected}"

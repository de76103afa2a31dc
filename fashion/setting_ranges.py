"""What the values of a setting may be, said once, on its field: what is outside is refused, and --help shows it.

    size: int | None = setting(None, least=8, unit="pixels")

The choices of a setting are its type's, a Literal.
"""

import dataclasses
import math
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from numbers import Real
from typing import Any, TypeVar, get_type_hints

from fashion.errors import InputError
from fashion.setting_types import choices_of, expected, types_of

Value = TypeVar("Value")
_ALLOWED = "allowed"  # in a field's metadata


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """Finite numbers from `least`, or above `above`, to `most`, or below `below`; of a list each one is meant."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    unit: str = ""
    note: str = ""  # why, or an example; for the error alone

    def __contains__(self, value: Any) -> bool:
        number = float(value) if isinstance(value, Real) else math.nan
        return (
            math.isfinite(number)
            and (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.most is None or number <= self.most)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        low = (
            f"above {self.above:,g}" if self.above is not None else f"{self.least:,g}" if self.least is not None else ""
        )
        high = (
            f"below {self.below:,g}" if self.below is not None else f"{self.most:,g}" if self.most is not None else ""
        )
        if low and high:
            words = f"{low} to {high}"
        elif low:
            words = f"more than {self.above:,g}" if self.above is not None else f"at least {low}"
        else:
            words = high if self.below is not None else f"at most {high}"
        return f"{words} {self.unit}".rstrip()


def setting(
    default: Value,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    unit: str = "",
    note: str = "",
) -> Value:
    """A field of a settings dataclass with its default and its range; null is admitted where the type admits it."""
    allowed = Allowed(least=least, above=above, most=most, below=below, unit=unit, note=note)
    return dataclasses.field(default=default, metadata={_ALLOWED: allowed})


@cache
def allowed_in(settings: type, group: str = "") -> dict[str, Allowed]:
    """The ranges of the settings, and of those in groups, by dotted name."""
    kinds, ranges = get_type_hints(settings), dict[str, Allowed]()
    for field in fields(settings):
        name, kind = f"{group}.{field.name}" if group else field.name, kinds[field.name]
        if allowed := field.metadata.get(_ALLOWED):
            ranges[name] = allowed
        if isinstance(kind, type) and is_dataclass(kind):
            ranges |= allowed_in(kind, name)
    return ranges


def check(settings: Any, group: str = "") -> None:
    """Raise InputError for the first of these settings that is none of its choices or out of its range. `group` is their
    dotted name in the job's settings."""
    owner: type = type(settings)
    kinds, ranges = types_of(owner), allowed_in(owner)
    for field in fields(settings):
        value, name = getattr(settings, field.name), f"{group}.{field.name}" if group else field.name
        choices, allowed = choices_of(kinds[field.name]), ranges.get(field.name)
        for each in () if value is None else value if isinstance(value, tuple | list) else (value,):
            if choices and each not in choices:
                raise InputError(f"{name}: found {each!r}, expected {expected(kinds[field.name])}")
            if allowed and each not in allowed:
                shown = list(value) if isinstance(value, tuple) else value
                raise InputError(f"{name}: found {shown}, expected {allowed}{': ' * bool(allowed.note)}{allowed.note}")

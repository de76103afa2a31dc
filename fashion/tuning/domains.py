"""What one searched setting may be: one of several values, or numbers of a range."""

import math
from dataclasses import dataclass
from typing import Any

from fashion.errors import InputError
from fashion.tuning.overrides import Values

UNDER = 1e-6  # how far, as a fraction of the range, the last value lies below an open upper end


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple

    def at(self, u: float) -> Any:
        """The value at `u` in [0, 1)."""
        return self.values[int(u * len(self.values))]

    def ends(self) -> tuple:
        return self.values

    def given(self, values: Values) -> "Choice":
        return self


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; whole ones include both."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, u: float) -> float:
        """The value at `u` in [0, 1), to four significant digits, so that a printed setting is the whole setting."""
        low, high = self.low, self.high
        if self.whole:
            return int(low) + int(u * (high - low + 1))
        x = math.exp(math.log(low) + u * (math.log(high) - math.log(low))) if self.log else low + u * (high - low)
        rounded = float(f"{x:.4g}")
        return rounded if low <= rounded < high else x

    def ends(self) -> tuple:
        return (self.low, self.high) if self.whole else (self.low, self.high - (self.high - self.low) * UNDER)

    def given(self, values: Values) -> "Range":
        return self


@dataclass(frozen=True)
class RangeBelow:
    """Numbers from `low` to below the value of another searched setting."""

    low: float
    setting: str
    log: bool = False

    def given(self, values: Values) -> Range:
        """The range where the others have these values. Raises InputError where it is empty."""
        high = values.get(self.setting)
        if high is None or not self.low < high:
            raise InputError(
                f"from {self.low:g} to below {self.setting} is empty where {self.setting} is {high}; lower the one or "
                "raise the other"
            )
        return Range(self.low, high, self.log)


Given = Choice | Range
Domain = Given | RangeBelow

"""The search space: which settings are searched and over what values. Pure: no Ray, no hidden randomness.

loss.name: {choice: [triplet, improved-triplet]}
loss.margin: {loguniform: [0.05, 1.0]}
loss.bound: {uniform: [0.01, {below: loss.margin}], when: {loss.name: improved-triplet}}
network.dimension: {integers: [32, 256]}
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fashion.errors import InputError
from fashion.seeds import generator
from fashion.tuning.overrides import Values, check_name, convert

KINDS = ("choice", "uniform", "loguniform", "integers")
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
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
    """Numbers from `low` to `high`. An upper end that names another setting is open; whole numbers include both."""

    low: float
    high: float | str
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
        """The range with its upper end a number. Raises InputError where it is empty."""
        if not isinstance(self.high, str):
            return self
        high = values.get(self.high)
        if high is None or not self.low < high:
            raise InputError(
                f"from {self.low:g} to below {self.high} is empty where {self.high} is {high}; lower the one or raise "
                "the other"
            )
        return Range(self.low, high, self.log)


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One searched setting."""

    name: str
    domain: Choice | Range
    when: tuple[tuple[str, tuple], ...] = ()  # other settings, and the values of each for which this one is searched

    def active(self, values: Values) -> bool:
        return all(name in values and values[name] in wanted for name, wanted in self.when)

    @property
    def needs(self) -> set[str]:
        above = {self.domain.high} if isinstance(self.domain, Range) and isinstance(self.domain.high, str) else set()
        return above | {name for name, _ in self.when}


@dataclass(frozen=True)
class Space:
    """The searched settings, each after those that it refers to."""

    dimensions: tuple[Dimension, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(d.name for d in self.dimensions)

    def assign(self, pick: Callable[[Dimension, Choice | Range], Any]) -> Values:
        """Values of the settings that are searched together; `pick` chooses each from what is open to it."""
        values: Values = {}
        for dimension in self.dimensions:
            if dimension.active(values):
                values[dimension.name] = pick(dimension, _given(dimension, values))
        return values

    def draw(self, seed: int, number: int) -> Values:
        """Trial `number`: a pure function of space, seed and number. Few trials already cover each range evenly."""

        def pick(dimension, domain):
            base = PRIMES[self.names.index(dimension.name) % len(PRIMES)]
            return convert(dimension.name, domain.at(even(number, base, seed, dimension.name)))

        return self.assign(pick)

    def grid(self) -> list[Values]:
        """Every combination of the choices. Raises InputError for a setting that is no choice."""
        for d in self.dimensions:
            if isinstance(d.domain, Range):
                raise InputError(f"space.{d.name}: a grid needs {{choice: [...]}} of every setting; list its values")
        return list(self._combinations(lambda domain: domain.values))

    def corners(self, most: int, seed: int = 0) -> list[Values]:
        """All combinations of choices and ends of ranges, or `most` of them, drawn."""
        found = list(itertools.islice(self._combinations(lambda domain: domain.ends()), most + 1))
        if len(found) <= most:
            return found
        random = generator(seed, "corners")
        # Each value of each setting first with the others drawn, so none goes unchecked.
        drawn = []
        for forced in self.dimensions:
            for value in forced.domain.ends() if _closed(forced) else ():
                drawn.append(self._drawn_corner(random, {forced.name: value}))
        return drawn + [self._drawn_corner(random, {}) for _ in range(max(0, most - len(drawn)))]

    def _drawn_corner(self, random, forced: Values) -> Values:
        def pick(d, domain):
            ends = domain.ends()
            return convert(d.name, forced.get(d.name, ends[random.integers(len(ends))]))

        return self.assign(pick)

    def _combinations(self, options: Callable[[Choice | Range], tuple]) -> Iterator[Values]:
        def go(i: int, values: Values) -> Iterator[Values]:
            if i == len(self.dimensions):
                yield values
                return
            dimension = self.dimensions[i]
            if not dimension.active(values):
                yield from go(i + 1, values)
                return
            for value in options(_given(dimension, values)):
                yield from go(i + 1, values | {dimension.name: convert(dimension.name, value)})

        return go(0, {})


def even(number: int, base: int, seed: int, name: str) -> float:
    """Point `number` of a scrambled Halton sequence in `base`: in [0, 1), any `base` points that begin at a multiple of
    it lie one in each of `base` equal parts."""
    point, scale = 0.0, 1.0 / base
    for position in range(_digits(base)):
        number, digit = divmod(number, base)
        point += _scramble(base, position, seed, name)[digit] * scale
        scale /= base
    return point


def _digits(base: int) -> int:
    return int(32 * math.log(2) / math.log(base))


@lru_cache(maxsize=4096)
def _scramble(base: int, position: int, seed: int, name: str) -> tuple[int, ...]:
    return tuple(generator(seed, name, position).permutation(base).tolist())


def _closed(dimension: Dimension) -> bool:
    return not (isinstance(dimension.domain, Range) and isinstance(dimension.domain.high, str))


def _given(dimension: Dimension, values: Values) -> Choice | Range:
    try:
        return dimension.domain.given(values)
    except InputError as fault:
        raise InputError(f"space.{dimension.name}: {fault}") from None


def parse_space(raw: dict) -> Space:
    """The space of a YAML mapping. Raises InputError for an unknown setting, a malformed range or a circle."""
    if not isinstance(raw, dict) or not raw:
        raise InputError("space: empty; expected train.py's settings and what to search, as in jobs/configs/sweep.yaml")
    found = [_dimension(str(name), spec) for name, spec in raw.items()]
    return Space(tuple(_ordered(found)))


def _dimension(name: str, spec: Any) -> Dimension:
    check_name(name)
    where = f"space.{name}"
    kinds = [key for key in spec if key != "when"] if isinstance(spec, dict) else []
    if len(kinds) != 1 or kinds[0] not in KINDS:
        raise InputError(f"{where}: found {spec!r}, expected one of {', '.join(KINDS)}, such as {{choice: [1, 2]}}")
    kind, value = kinds[0], spec[kinds[0]]
    if not isinstance(value, list) or not value:
        raise InputError(f"{where}: found {kind} {value!r}, expected a list")
    domain = _choice(name, value) if kind == "choice" else _range(name, kind, value)
    return Dimension(name=name, domain=domain, when=_conditions(name, spec.get("when", {})))


def _choice(name: str, value: list) -> Choice:
    values = tuple(convert(name, v) for v in value)
    if len(set(values)) != len(values):
        raise InputError(f"space.{name}: found a value twice in {value}, expected each once")
    return Choice(values)


def _range(name: str, kind: str, value: list) -> Range:
    where, whole = f"space.{name}", kind == "integers"
    if len(value) != 2:
        raise InputError(f"{where}: found {kind} {value}, expected two ends, [lowest, highest]")
    low, high = convert(name, value[0]), value[1]
    if isinstance(high, dict):
        if set(high) != {"below"} or whole:
            raise InputError(f"{where}: found {high}, expected a number, or {{below: SETTING}} for uniform, loguniform")
        high = str(high["below"])
    else:
        high = convert(name, high)
    for end in (low, high):
        if not isinstance(end, str) and (isinstance(end, bool) or not isinstance(end, int | float)):
            raise InputError(f"{where}: found {end!r} in {kind}, expected a number; use choice for other values")
    if not isinstance(high, str) and not low < high:
        raise InputError(f"{where}: found {kind} {value}, expected the lower end first, below the upper one")
    if kind == "loguniform" and not low > 0:
        raise InputError(f"{where}: found loguniform from {low:g}, expected an end above 0; use uniform")
    if not whole and isinstance(convert(name, low), int):
        raise InputError(f"{where}: found {kind} of a setting of whole numbers, expected integers or choice")
    return Range(low, high, log=kind == "loguniform", whole=whole)


def _conditions(name: str, raw: Any) -> tuple[tuple[str, tuple], ...]:
    if not isinstance(raw, dict):
        raise InputError(f"space.{name}: found when {raw!r}, expected {{SETTING: value}} or {{SETTING: [values]}}")
    found = []
    for other, wanted in raw.items():
        check_name(str(other))
        found.append((str(other), tuple(convert(other, w) for w in (wanted if isinstance(wanted, list) else [wanted]))))
    return tuple(found)


def _ordered(dimensions: list[Dimension]) -> list[Dimension]:
    """Each after what it needs, otherwise in the order given."""
    names = {d.name: d for d in dimensions}
    for d in dimensions:
        for other in sorted(d.needs):
            if other not in names:
                raise InputError(f"space.{d.name}: refers to {other}, which is not searched; search it, or drop this")
        for other, wanted in d.when:
            domain = names[other].domain
            if isinstance(domain, Choice) and not set(wanted) <= set(domain.values):
                missing = sorted(map(str, set(wanted) - set(domain.values)))
                raise InputError(f"space.{d.name}: when {other} is {', '.join(missing)}, which is none of its choices")
    done: list[Dimension] = []
    left = list(dimensions)
    while left:
        ready = next((d for d in left if d.needs <= {e.name for e in done}), None)
        if ready is None:
            raise InputError(f"space.{left[0].name}: refers to itself, through {', '.join(sorted(left[0].needs))}")
        done.append(ready)
        left.remove(ready)
    return done

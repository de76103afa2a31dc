"""The search space: which settings are searched and over what values. Pure: no Ray, no hidden randomness."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fashion.errors import InputError
from fashion.seeds import generator
from fashion.tuning.domains import Choice, Domain, Given, RangeBelow
from fashion.tuning.halton import PRIMES, even
from fashion.tuning.overrides import Values, convert


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One searched setting."""

    name: str
    domain: Domain
    when: tuple[tuple[str, tuple], ...] = ()  # other settings, and the values of each for which this one is searched

    def active(self, values: Values) -> bool:
        return all(name in values and values[name] in wanted for name, wanted in self.when)

    def given(self, values: Values) -> Given:
        """What the setting may be where the others have these values. Raises InputError where that is nothing."""
        try:
            return self.domain.given(values)
        except InputError as fault:
            raise InputError(f"space.{self.name}: {fault}") from None

    @property
    def needs(self) -> set[str]:
        above = {self.domain.setting} if isinstance(self.domain, RangeBelow) else set()
        return above | {name for name, _ in self.when}


@dataclass(frozen=True)
class Space:
    """The searched settings, each after those that it refers to."""

    dimensions: tuple[Dimension, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(d.name for d in self.dimensions)

    def assign(self, pick: Callable[[Dimension, Given], Any]) -> Values:
        """Values of the settings that are searched together; `pick` chooses each from what is open to it."""
        values: Values = {}
        for dimension in self.dimensions:
            if dimension.active(values):
                values[dimension.name] = pick(dimension, dimension.given(values))
        return values

    def draw(self, seed: int, number: int) -> Values:
        """Trial `number`: a pure function of space, seed and number. Few trials already cover each range evenly."""

        def pick(dimension: Dimension, domain: Given) -> Any:
            base = PRIMES[self.names.index(dimension.name) % len(PRIMES)]
            return convert(dimension.name, domain.at(even(number, base, seed, dimension.name)))

        return self.assign(pick)

    def grid(self) -> list[Values]:
        """Every combination of the choices. Raises InputError for a setting that is no choice."""
        for d in self.dimensions:
            if not isinstance(d.domain, Choice):
                raise InputError(f"space.{d.name}: a grid needs {{choice: [...]}} of every setting; list its values")
        return list(self._combinations(lambda domain: domain.ends()))

    def corners(self, most: int, seed: int = 0) -> list[Values]:
        """All combinations of choices and ends of ranges, or `most` of them, drawn."""
        corners = list(itertools.islice(self._combinations(lambda domain: domain.ends()), most + 1))
        if len(corners) <= most:
            return corners
        random = generator(seed, "corners")
        # Each value of each setting first with the others drawn, so none goes unchecked.
        drawn = []
        for forced in self.dimensions:
            for value in () if isinstance(forced.domain, RangeBelow) else forced.domain.ends():
                drawn.append(self._drawn_corner(random, {forced.name: value}))
        return drawn + [self._drawn_corner(random, {}) for _ in range(max(0, most - len(drawn)))]

    def _drawn_corner(self, random: np.random.Generator, forced: Values) -> Values:
        def pick(d: Dimension, domain: Given) -> Any:
            ends = domain.ends()
            return convert(d.name, forced.get(d.name, ends[random.integers(len(ends))]))

        return self.assign(pick)

    def _combinations(self, options: Callable[[Given], tuple]) -> Iterator[Values]:
        def go(i: int, values: Values) -> Iterator[Values]:
            if i == len(self.dimensions):
                yield values
                return
            dimension = self.dimensions[i]
            if not dimension.active(values):
                yield from go(i + 1, values)
                return
            for value in options(dimension.given(values)):
                yield from go(i + 1, values | {dimension.name: convert(dimension.name, value)})

        return go(0, {})

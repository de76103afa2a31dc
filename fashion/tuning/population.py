"""Population-based training: the settings of a trial that takes over the weights of a better one. Pure."""

from typing import Any

import numpy as np

from fashion.tuning.domains import Choice, Given
from fashion.tuning.overrides import Values, convert
from fashion.tuning.space import Dimension, Space

FACTORS = (0.8, 1.25)
ANEW = 0.25  # how often a setting is drawn anew instead of moved


def perturbed(space: Space, values: Values, random: np.random.Generator) -> Values:
    """Each setting times 0.8 or 1.25 within its range, or a neighbouring choice; one in four is drawn anew."""

    def pick(dimension: Dimension, domain: Given) -> Any:
        if random.random() < ANEW:
            return convert(dimension.name, domain.at(random.random()))
        up, old = random.integers(2), values[dimension.name]
        if isinstance(domain, Choice):
            place = min(max(domain.values.index(old) + (1 if up else -1), 0), len(domain.values) - 1)
            return domain.values[place]
        low, high = domain.ends()
        moved = min(max(old * FACTORS[up], low), high)
        return convert(dimension.name, round(moved) if domain.whole else moved)

    return space.assign(pick)

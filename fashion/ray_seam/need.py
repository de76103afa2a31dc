"""How many actors the readers of a stream need: a decision from plain numbers, with no Ray in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WAITS = 0.1  # share of the time in which a reader finds no row, that more actors are worth
BUSY = 0.6  # share of their time that actors are to work; Ray has a part of it where they have no rest
MORE = 1.5  # times as many, while readers wait
TWICE = 2  # windows in a row with waiting readers, before more are started
QUIET = 3  # windows, at least, before any is let go


@dataclass(frozen=True, kw_only=True)
class Window:
    """A while in which rows were taken."""

    seconds: float
    actors: int  # that took part, all the time
    busy: float  # seconds that actors worked, over seconds: as many of them would have done with no rest
    waited: float  # share of the time in which a reader found no row


def needed(seen: Sequence[Window], *, patience: float) -> int | None:
    """Actors that readers need, from what was `seen` since their number last changed, the newest last; None where that
    does not tell.

    More, while readers wait and the actors have no rest: how many more cannot be seen, for readers that wait for each row
    may want any number. Fewer, where nobody waited for `patience` seconds: as many as the work of the busiest of these
    windows would keep as busy as actors are to be. One does not lead to the other: where more are started, the work was
    too much for fewer.
    """
    n = seen[-1].actors
    if len(seen) >= TWICE and all(w.waited >= WAITS and w.busy >= BUSY * n for w in seen[-TWICE:]):
        return math.ceil(MORE * n)
    seconds, busiest = 0.0, 0.0
    for i, window in enumerate(reversed(seen)):
        if window.waited >= WAITS:
            return None
        seconds, busiest = seconds + window.seconds, max(busiest, window.busy)
        if seconds >= patience and i + 1 >= QUIET:
            return min(n, max(1, math.ceil(busiest / BUSY)))
    return None

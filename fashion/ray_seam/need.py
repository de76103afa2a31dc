"""How many actors the readers of a stream need: a decision from plain numbers, with no Ray in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

WAITS = 0.1  # share of the time in which a reader finds no row, that more actors are worth
MOSTLY = 0.5  # share that they wait, on average, in which no actor is let go, whatever it is that they wait for
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
    may want any number. Fewer, after `patience` seconds: as many as the work of the busiest of these windows would keep as
    busy as actors are to be. Readers wait a little whatever there is, as Ray hands rows over in passes: whether that was
    for want of actors shows when there are fewer (`missed`). One does not lead to the other: where more are started, the
    work was too much for fewer.
    """
    n = seen[-1].actors
    if len(seen) >= TWICE and all(w.waited >= WAITS and w.busy >= BUSY * n for w in seen[-TWICE:]):
        return math.ceil(MORE * n)
    passed = enumerate(accumulate(w.seconds for w in reversed(seen)), 1)
    count = next((count for count, seconds in passed if seconds >= patience and count >= QUIET), None)
    if count is None or waited(seen[-count:]) >= MOSTLY:
        return None
    return min(n, max(1, math.ceil(max(w.busy for w in seen[-count:]) / BUSY)))


def waited(seen: Sequence[Window]) -> float:
    """Share of all their time."""
    return sum(w.waited * w.seconds for w in seen) / sum(w.seconds for w in seen)


def missed(seen: Sequence[Window], before: float) -> bool:
    """Whether those that were let go are missed: from the start readers wait more than the share `before` that."""
    return len(seen) == TWICE and all(w.waited >= before + WAITS for w in seen)

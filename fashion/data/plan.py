"""The order of a training run: which items make up each step of each epoch, known before anything is read.

A row group of the item table is the unit of reading. An epoch shuffles the row groups, lines their items up, fills the
remainder of the last step from the start of the line, and cuts the line into tickets of a few steps each; within a
ticket the items are shuffled again. So every item is seen once an epoch (a few twice, in the filled step), no item
twice in a step, every epoch has the same number of steps, and the plan depends on seed and epoch alone. Where there are
many row groups, none of them is listed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fashion.data.group import Group
from fashion.data.many_groups import ManyGroups
from fashion.data.table import ShardInfo
from fashion.errors import InputError
from fashion.seeds import generator

MANY = 1 << 17  # row groups: of more there is no list, and they are shuffled without one
TICKET_ITEMS = 512  # a ticket shuffles and decodes so many items; memory of the feed grows with it, not with the data


@dataclass(frozen=True)
class Ticket:
    """A few steps of one epoch: row k of the ticket is item `rows[k]` of group `groups[group[k]]`."""

    epoch: int
    first_step: int
    steps: int
    groups: tuple[Group, ...]
    group: np.ndarray  # (steps * P,) index into groups
    row: np.ndarray  # (steps * P,) row in the group


@dataclass(frozen=True, kw_only=True)
class Plan:
    groups: tuple[Group, ...] | ManyGroups
    items_per_step: int  # P, over all workers
    seed: int
    ticket_items: int = TICKET_ITEMS

    def __post_init__(self) -> None:
        if self.items < self.items_per_step:
            raise InputError(
                f"batch.items: found {self.items_per_step}, but there are {self.items} training items; "
                f"expected at most that many different items in a step, so set batch.items lower"
            )

    @staticmethod
    def of(shards: Iterable[ShardInfo], *, items_per_step: int, seed: int) -> "Plan":
        """A plan over the shards of one split, which are gone through twice."""
        many = sum(len(shard.groups) for shard in shards) > MANY
        groups = ManyGroups(shards) if many else listed(shards)
        return Plan(groups=groups, items_per_step=items_per_step, seed=seed)

    @cached_property
    def items(self) -> int:
        return self.groups.items if isinstance(self.groups, ManyGroups) else sum(group.items for group in self.groups)

    @property
    def listed(self) -> tuple[Group, ...]:
        """All row groups, in their order."""
        return self.groups.listed if isinstance(self.groups, ManyGroups) else self.groups

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return -(-self.items // self.items_per_step)

    @property
    def ticket_steps(self) -> int:
        """Steps a ticket, the last of an epoch excepted: shared evenly, so that no actor is done long before another."""
        return -(-self.steps // self.tickets())

    def tickets(self) -> int:
        """Tickets an epoch."""
        return -(-self.steps // max(1, self.ticket_items // self.items_per_step))

    def ready(self, epoch: int) -> bool:
        """Whether the tickets of this epoch can be made. Of this plan: at any time."""
        return True

    def ticket(self, epoch: int, number: int) -> Ticket:
        """Ticket `number` of the epoch; costs the epoch's shuffle, O(row groups), or where those are many O(shards)."""
        first = number * self.ticket_steps
        steps = min(self.ticket_steps, self.steps - first)
        P = self.items_per_step
        places = np.arange(first * P, (first + steps) * P) % self.items
        groups, group, dealt = self._line(epoch, places)
        # Each group is dealt in an order of its own, so that two tickets that share it take different items.
        deals = [generator(self.seed, "rows", epoch, g.start).permutation(g.items) for g in groups]
        row = np.array([deals[g][i] for g, i in zip(group, dealt, strict=True)])
        shuffle = _shuffle(generator(self.seed, "ticket", epoch, number), places, steps, P)
        return Ticket(epoch, first, steps, groups, group[shuffle], row[shuffle])

    def _line(self, epoch: int, places: np.ndarray) -> tuple[tuple[Group, ...], np.ndarray, np.ndarray]:
        """The row groups that the places (n,) of the epoch's line lie in; of each place which of those, and which item
        of its deal."""
        if isinstance(self.groups, ManyGroups):
            numbers, dealt = self.groups.at(places, self.seed, epoch)
            used, group = np.unique(numbers, return_inverse=True)
            return tuple(self.groups.group(int(number)) for number in used), group, dealt
        order = generator(self.seed, "groups", epoch).permutation(len(self.groups))
        ends = np.cumsum([self.groups[i].items for i in order])
        at = np.searchsorted(ends, places, side="right")
        used, group = np.unique(at, return_inverse=True)
        groups = tuple(self.groups[order[i]] for i in used)
        starts = np.array([int(ends[i]) - self.groups[order[i]].items for i in used])
        return groups, group, places - starts[group]


def listed(shards: Iterable[ShardInfo]) -> tuple[Group, ...]:
    """All row groups of the shards of one split, in their order."""
    groups, label = [], 0
    for shard in shards:
        for index, items in enumerate(shard.groups):
            groups.append(Group(shard.name, index, label, items))
            label += items
    return tuple(groups)


def _shuffle(random: np.random.Generator, places: np.ndarray, steps: int, P: int) -> np.ndarray:
    """A permutation of the ticket's places in which no step holds the same place twice."""
    if len(np.unique(places)) == len(places):
        return random.permutation(len(places))
    # The fill of the last step repeats items of this very ticket: those stay in their steps, each shuffled by itself.
    return np.concatenate([i * P + random.permutation(P) for i in range(steps)])

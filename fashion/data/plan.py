"""The order of a training run: which items make up each step of each epoch, known before anything is read.

A row group of the item table is the unit of reading. An epoch shuffles the row groups, lines their items up, fills the
remainder of the last step from the start of the line, and cuts the line into tickets of a few steps each; within a
ticket the items are shuffled again. So every item is seen once an epoch (a few twice, in the filled step), no item
twice in a step, every epoch has the same number of steps, and the plan depends on seed and epoch alone.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fashion.errors import InputError
from fashion.seeds import generator

TICKET_ITEMS = 512  # a ticket shuffles and decodes so many items; memory of the feed grows with it, not with the data


@dataclass(frozen=True)
class Group:
    """A row group: its shard, its number there, and the run of class labels of its items."""

    shard: str
    index: int
    start: int  # label of its first item: one label an item, dense over the split
    items: int
    table: int = 0  # where the plan is over several tables


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
    groups: tuple[Group, ...]
    items_per_step: int  # P, over all workers
    seed: int
    ticket_items: int = TICKET_ITEMS

    def __post_init__(self):
        if self.items < self.items_per_step:
            raise InputError(
                f"batch.items: found {self.items_per_step}, but there are {self.items} training items; "
                f"expected at most that many different items in a step, so set batch.items lower"
            )

    @staticmethod
    def of(shards, *, items_per_step: int, seed: int) -> "Plan":
        """A plan over `ShardInfo`s of one split."""
        groups, label = [], 0
        for shard in shards:
            for index, items in enumerate(shard.groups):
                groups.append(Group(shard.name, index, label, items))
                label += items
        return Plan(groups=tuple(groups), items_per_step=items_per_step, seed=seed)

    @cached_property
    def items(self) -> int:
        return sum(group.items for group in self.groups)

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

    def ticket(self, epoch: int, number: int) -> Ticket:
        """Ticket `number` of the epoch; costs the epoch's shuffle, O(row groups)."""
        order = generator(self.seed, "groups", epoch).permutation(len(self.groups))
        first = number * self.ticket_steps
        steps = min(self.ticket_steps, self.steps - first)
        P = self.items_per_step
        places = np.arange(first * P, (first + steps) * P) % self.items
        ends = np.cumsum([self.groups[i].items for i in order])
        at = np.searchsorted(ends, places, side="right")
        used, group = np.unique(at, return_inverse=True)
        groups = tuple(self.groups[order[i]] for i in used)
        # Each group is dealt in an order of its own, so that two tickets that share it take different items.
        deals = [generator(self.seed, "rows", epoch, g.start).permutation(g.items) for g in groups]
        starts = [int(ends[i]) - self.groups[order[i]].items for i in used]
        row = np.array([deals[g][place - starts[g]] for g, place in zip(group, places, strict=True)])
        shuffle = _shuffle(generator(self.seed, "ticket", epoch, number), places, steps, P)
        return Ticket(epoch, first, steps, groups, group[shuffle], row[shuffle])


def _shuffle(random: np.random.Generator, places: np.ndarray, steps: int, P: int) -> np.ndarray:
    """A permutation of the ticket's places in which no step holds the same place twice."""
    if len(np.unique(places)) == len(places):
        return random.permutation(len(places))
    # The fill of the last step repeats items of this very ticket: those stay in their steps, each shuffled by itself.
    return np.concatenate([i * P + random.permutation(P) for i in range(steps)])

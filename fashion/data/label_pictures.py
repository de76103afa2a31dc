"""Pictures of further item tables that join each training step for their labels alone, by a plan of their own.

Their epochs are their own: step g of the run, counted over all its epochs, takes step g modulo the plan's steps. So they
depend on seed and step alone, as everything in the stream, and a resumed run goes on with the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fashion.data.group import Group
from fashion.data.labels import Labeller
from fashion.data.plan import Plan, Ticket, listed
from fashion.data.rows import ItemGroup, read_columns
from fashion.data.table import ItemTable
from fashion.data.views import deal
from fashion.domain import DOMAINS
from fashion.errors import InputError
from fashion.seeds import seed_of
from fashion.vocabulary import Vocabulary

PREFIX = "labelled_"  # of the names of their arrays in the stream


@dataclass(frozen=True, kw_only=True)
class LabelTables:
    """Item tables and the order in which the items of all of them together are looked at, one picture of each."""

    tables: tuple[ItemTable, ...]
    plan: Plan

    @staticmethod
    def of(tables: Sequence[ItemTable], *, pictures: int, steps: int, seed: int) -> "LabelTables":
        """`pictures` a step; `steps`: of the training plan's tickets, which these are read in step with. Raises
        InputError."""
        groups: list[Group] = []
        for number, table in enumerate(tables):
            first = sum(group.items for group in groups)
            for group in listed(table.shards("train")):
                groups.append(replace(group, start=first + group.start, table=number))
        items = sum(group.items for group in groups)
        if items < pictures:
            raise InputError(
                f"batch.labels: found {pictures}, but the tables of --labels have {items} training items; set it lower"
            )
        plan = Plan(
            groups=tuple(groups),
            items_per_step=pictures,
            seed=seed_of(seed, "labels"),
            ticket_items=pictures * steps,
        )
        return LabelTables(tables=tuple(tables), plan=plan)


class LabelFeed:
    """Steps of the run -> micro-batches of labelled pictures."""

    def __init__(
        self,
        tables: LabelTables,
        vocabulary: Vocabulary,
        *,
        size: int,
        slots: int,
        crop: str,
        interpolation: str = "bilinear",
    ):
        self.tables, self.size, self.crop, self.interpolation = tables, size, crop, interpolation
        self.slots, self.count = slots, tables.plan.items_per_step // slots
        self.labellers = [Labeller(vocabulary, table, crop) for table in tables.tables]
        self.columns = read_columns(["domain", *self.labellers[0].columns])

    @property
    def step_bytes(self) -> int:
        """Bytes of pixels of one slot's step."""
        return self.count * 3 * self.size**2

    def choose(self, first: int, steps: int) -> "Chosen":
        """The items of steps first .. first + steps - 1 of the run, read."""
        plan, chosen = self.tables.plan, []
        tickets: dict[tuple[int, int], Ticket] = {}
        groups: dict[int, ItemGroup] = {}
        for step in range(first, first + steps):
            epoch, place = divmod(step, plan.steps)
            number, inside = divmod(place, plan.ticket_steps)
            if (epoch, number) not in tickets:
                tickets[epoch, number] = plan.ticket(epoch, number)
            ticket = tickets[epoch, number]
            rows = slice(inside * plan.items_per_step, (inside + 1) * plan.items_per_step)
            for group, row in zip(ticket.group[rows].tolist(), ticket.row[rows].tolist(), strict=True):
                chosen.append((ticket.groups[group], row, epoch))
        for number, table in enumerate(self.tables.tables):
            wanted = {group.start: group for group, _, _ in chosen if group.table == number}
            read = table.read_groups([(group.shard, group.index) for group in wanted.values()], self.columns)
            groups |= zip(wanted, map(ItemGroup, read), strict=True)
        return Chosen(self, chosen, groups)


class Chosen:
    """The labelled pictures of some steps in a row."""

    def __init__(self, feed: LabelFeed, chosen: list[tuple[Group, int, int]], groups: dict[int, ItemGroup]):
        self.feed, self.chosen, self.groups = feed, chosen, groups

    def arrays(self, steps: range, slot: int) -> dict[str, np.ndarray]:
        """One slot's part of these steps, of those chosen: arrays (1, T, m, ...) of `images`, `domain` and the labels,
        each name with PREFIX."""
        f = self.feed
        T, m, size = len(steps), f.count, f.size
        arrays = f.labellers[0].blank(1, T, m)
        arrays |= {"images": np.empty((1, T, m, 3, size, size), np.uint8), "domain": np.empty((1, T, m), np.int64)}
        for t, step in enumerate(steps):
            start = step * m * f.slots + slot * m
            for i, (planned, row, epoch) in enumerate(self.chosen[start : start + m]):
                group = self.groups[planned.start]
                picture = group.start[row] + self._view(group, row, epoch)
                arrays["images"][0, t, i] = group.pixels(picture, size, f.crop, interpolation=f.interpolation)
                arrays["domain"][0, t, i] = DOMAINS.index(group.columns["domain"][picture])
                f.labellers[planned.table].put(arrays, (0, t, i), group.columns, picture)
        return {PREFIX + name: array for name, array in arrays.items()}

    def _view(self, group: ItemGroup, row: int, epoch: int) -> int:
        """One of the item's pictures, another one in each epoch until all were looked at."""
        count = group.start[row + 1] - group.start[row]
        return deal(count, 1, 1, self.feed.tables.plan.seed, epoch, group.items[row])[0]

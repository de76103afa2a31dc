"""The order of a run with hard batches: a plan whose steps hold groups of items that the network takes for one another.

An item and its nearest others make a group, as graph sampling does in re-identification (Liao and Shao 2022); but every
item is still seen once an epoch, so a group takes those of the nearest that are free. Which items these are is a pure
function of plan, epoch and neighbours, and the neighbours lie in the run's folder: any feed draws the same.
"""

from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np

from fashion.data.group import Group
from fashion.data.mining import MiningSettings
from fashion.data.neighbours import file_of, read_neighbours
from fashion.data.plan import Plan, Ticket
from fashion.seeds import generator
from fashion.storage import Store


@dataclass(frozen=True, kw_only=True)
class HardPlan(Plan):
    groups: tuple[Group, ...]  # listed, as their items' neighbours are
    mining: MiningSettings
    run: Store = field(compare=False)  # holds the neighbours
    data: str  # fingerprint of the item table

    @staticmethod
    def over(plan: Plan, mining: MiningSettings, run: Store, data: str) -> "HardPlan":
        mining.check_room(items=plan.items_per_step)
        of_plan = {f.name: getattr(plan, f.name) for f in fields(Plan)} | {"groups": plan.listed}
        return HardPlan(**of_plan, mining=mining, run=run, data=data)

    @cached_property
    def _starts(self) -> np.ndarray:
        """Label of each row group's first item, ascending."""
        return np.array([group.start for group in self.groups])

    @cached_property
    def _kept(self) -> dict:
        """The neighbours, and the epoch's steps, that were asked for last, and the neighbours that are there: a feed goes
        from ticket to ticket."""
        return {}

    def ready(self, epoch: int) -> bool:
        """Whether the neighbours are there of which the tickets of this epoch are made: a feed is ahead of the workers, who
        find them."""
        mined_at = self.mining.of(epoch)
        if mined_at is not None and self._kept.get("there") != mined_at:
            if not self.run.exists(file_of(mined_at)):
                return False
            self._kept["there"] = mined_at
        return True

    def ticket(self, epoch: int, number: int) -> Ticket:
        """Of an epoch that is ready. Raises InputError where the file of its neighbours is damaged."""
        if self.mining.of(epoch) is None:
            return super().ticket(epoch, number)
        first = number * self.ticket_steps
        steps = min(self.ticket_steps, self.steps - first)
        labels = self.labels(epoch)[first : first + steps].ravel()
        at = self.groups_of(labels)
        used, group = np.unique(at, return_inverse=True)
        groups = tuple(self.groups[i] for i in used)
        return Ticket(epoch, first, steps, groups, group, labels - self._starts[at])

    def groups_of(self, labels: np.ndarray | int) -> np.ndarray:
        """Which of `groups` the items with these labels are in."""
        return np.searchsorted(self._starts, labels, side="right") - 1

    def labels(self, epoch: int) -> np.ndarray:
        """(steps, P) the class labels of the items of each step of an epoch with hard batches."""
        if self._kept.get("epoch") != epoch:
            mined_at = self.mining.of(epoch)
            assert mined_at is not None  # the epoch has hard batches
            if self._kept.get("mined_at") != mined_at:
                neighbours = read_neighbours(self.run, mined_at, items=self.items, data=self.data)
                self._kept.update(mined_at=mined_at, nearest=neighbours.nearest_NK)
            m = self.mining
            steps = arrange(self, self._kept["nearest"], share=m.share, group=m.group, epoch=epoch)
            self._kept.update(epoch=epoch, steps=steps)
        return self._kept["steps"]

    def __getstate__(self) -> dict:
        return {f.name: getattr(self, f.name) for f in fields(self)}


def arrange(plan: Plan, nearest_NK: np.ndarray, *, share: float, group: int, epoch: int) -> np.ndarray:
    """(steps, P) labels: each item once, a few twice where the last step is filled, no item twice in a step.

    At most `share` of a step's places hold groups; fewer where too few items have free neighbours left. The others are
    dealt from the epoch's shuffled row groups, so that they cost a ticket few reads.
    """
    P, S, N = plan.items_per_step, plan.steps, plan.items
    groups = form_groups(
        nearest_NK, group, most=S * (int(share * P) // group), random=generator(plan.seed, "hard", epoch)
    )
    steps = [groups[s::S].ravel() for s in range(S)]
    free = np.ones(N, bool)
    free[groups.ravel()] = False
    line = _line(plan, epoch)
    rest, at = line[free[line]], 0
    for first in range(0, S, plan.ticket_steps):
        of_ticket = range(first, min(first + plan.ticket_steps, S))
        rooms = np.cumsum([0, *(P - len(steps[s]) for s in of_ticket)])
        dealt = generator(plan.seed, "rest", epoch, first).permutation(rest[at : at + rooms[-1]])
        at += len(dealt)
        for n, s in enumerate(of_ticket):
            steps[s] = np.concatenate([steps[s], dealt[rooms[n] : rooms[n + 1]]])
    for s in range(S):
        if lacking := P - len(steps[s]):  # the end of the line: filled with items of other steps
            others = np.concatenate([own for n, own in enumerate(steps) if n != s])
            others = others[~np.isin(others, steps[s])]
            steps[s] = np.concatenate([steps[s], others[:lacking]])
        steps[s] = generator(plan.seed, "step", epoch, s).permutation(steps[s])
    return np.stack(steps)


def form_groups(nearest_NK: np.ndarray, size: int, *, most: int, random: np.random.Generator) -> np.ndarray:
    """(groups, size) labels, at most `most` groups and no label twice: anchors in a random order, each with the nearest
    size - 1 that are free; an anchor with fewer is passed over."""
    free = np.ones(len(nearest_NK), bool)
    groups: list[list[int]] = []
    for anchor in random.permutation(len(nearest_NK)):
        if len(groups) == most:
            break
        if not free[anchor]:
            continue
        near = nearest_NK[anchor]
        near = near[near >= 0]
        near = near[free[near]][: size - 1]
        if len(near) == size - 1:
            members = [anchor, *near]
            free[members] = False
            groups.append(members)
    return np.array(groups, np.int64).reshape(-1, size)


def _line(plan: Plan, epoch: int) -> np.ndarray:
    """All labels, row group by row group in the epoch's order."""
    groups = plan.listed
    order = generator(plan.seed, "groups", epoch).permutation(len(groups))
    return np.concatenate([groups[i].start + np.arange(groups[i].items) for i in order])

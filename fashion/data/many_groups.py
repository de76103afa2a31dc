"""Row groups by the million, as a few numbers a shard, and their order in an epoch without a list of them.

Nearly all row groups of a table are full; a shard ends with one that is not. The full ones are shuffled by a permutation
that is computed place by place, the others by a list, and their items are spread evenly among those of the full ones.
"""

from array import array
from collections.abc import Iterable

import numpy as np

from fashion.data.group import Group
from fashion.data.permutation import Permutation
from fashion.data.table import ShardInfo
from fashion.seeds import generator


class ManyGroups:
    """The row groups of a split. Memory grows with its shards, by about 70 bytes each, and not with their groups. At most 3
    billion items, for 64 bits hold their square."""

    def __init__(self, shards: Iterable[ShardInfo]):
        """Full is the size of the largest row group of the first shard."""
        names, ends, full, starts = bytearray(), array("q", [0]), array("q", [0]), array("q", [0])
        rest = [array("q") for _ in range(4)]  # of the others: shard, number in it, first item, items
        size = 0
        for number, shard in enumerate(shards):
            size = size or max(shard.groups)
            names += shard.name.encode()
            ends.append(len(names))
            whole = next((i for i, items in enumerate(shard.groups) if items != size), len(shard.groups))
            full.append(full[-1] + whole)
            start = starts[-1] + whole * size
            for index in range(whole, len(shard.groups)):
                for numbers, value in zip(rest, (number, index, start, shard.groups[index]), strict=True):
                    numbers.append(value)
                start += shard.groups[index]
            starts.append(start)
        self.size, self.names, self.items = size, bytes(names), starts[-1]
        self.ends, self.full, self.starts = (np.frombuffer(x, np.int64) for x in (ends, full, starts))
        self.rest = np.array(rest, np.int64)
        self.few = int(self.rest[3].sum())  # items in row groups that are not full
        assert self.items < 3 << 30

    def at(self, places: np.ndarray, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Of each place (n,) in the epoch's line: its row group's number for `group`, and the item's place in that one's
        own deal, from 0."""
        before = places * self.few // self.items  # of those items, so many come earlier in the line
        is_few = (places + 1) * self.few // self.items > before
        group, offset = np.empty_like(places), np.empty_like(places)
        whole = places[~is_few] - before[~is_few]
        if len(whole):
            group[~is_few] = Permutation(int(self.full[-1]), seed, "groups", epoch)(whole // self.size)
            offset[~is_few] = whole % self.size
        if is_few.any():
            order = generator(seed, "groups", epoch).permutation(self.rest.shape[1])
            ends = np.cumsum(self.rest[3, order])
            at = np.searchsorted(ends, before[is_few], side="right")
            group[is_few] = self.full[-1] + order[at]
            offset[is_few] = before[is_few] - (ends[at] - self.rest[3, order[at]])
        return group, offset

    @property
    def listed(self) -> tuple[Group, ...]:
        """All of them, in the order of the table."""
        numbers = range(int(self.full[-1]) + self.rest.shape[1])
        return tuple(sorted(map(self.group, numbers), key=lambda group: group.start))

    def group(self, number: int) -> Group:
        """The row group with that number: the full ones first, in the order of the table."""
        if number >= self.full[-1]:
            shard, index, start, items = self.rest[:, number - self.full[-1]].tolist()
        else:
            shard = int(np.searchsorted(self.full, number, side="right")) - 1
            index, items = number - int(self.full[shard]), self.size
            start = int(self.starts[shard]) + index * self.size
        name = self.names[self.ends[shard] : self.ends[shard + 1]].decode()
        return Group(name, index, start, items)

"""A row group of an item table, as a plan has it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """A row group: its shard, its number there, and the run of class labels of its items."""

    shard: str
    index: int
    start: int  # label of its first item: one label an item, dense over the split
    items: int
    table: int = 0  # where the plan is over several tables

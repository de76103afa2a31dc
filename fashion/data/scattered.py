"""Row groups of which a ticket needs few items each, as groups of neighbours do that lie all over the table."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from fashion.data.plan import Ticket
from fashion.data.table import ItemTable

AT_ONCE = 16  # row groups in memory beside those, whole


class ScatteredReader:
    """Reads the row groups of tickets, keeps the last used ones whole, up to `kept` bytes, and of each hands on what the
    ticket needs."""

    def __init__(self, table: ItemTable, columns: Sequence[str], *, kept: int):
        self.table, self.columns, self.limit = table, list(columns), kept
        self.bytes = 0
        self.groups: OrderedDict[tuple[str, int], pa.Table] = OrderedDict()

    def read(self, ticket: Ticket) -> list[pa.Table]:
        """A table of each row group of the ticket, in which items that it does not need have no images."""
        tables = []
        for first in range(0, len(ticket.groups), AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, len(ticket.groups)))
            names = [(ticket.groups[n].shard, ticket.groups[n].index) for n in numbers]
            read = self._read(names)
            tables += [only(read[name], ticket.row[ticket.group == n]) for n, name in zip(numbers, names, strict=True)]
        return tables

    def _read(self, names: list[tuple[str, int]]) -> dict[tuple[str, int], pa.Table]:
        missing = [name for name in names if name not in self.groups]
        read = dict(zip(missing, self.table.read_groups(missing, self.columns), strict=True))
        whole = {name: read[name] if name in read else self.groups[name] for name in names}
        for name, rows in whole.items():
            if name in read:
                self.bytes += rows.nbytes
            self.groups[name] = rows
            self.groups.move_to_end(name)
        while self.bytes > self.limit:
            self.bytes -= self.groups.popitem(last=False)[1].nbytes
        return whole


def only(rows: pa.Table, wanted: np.ndarray) -> pa.Table:
    """The same items, of which those at the places `wanted` alone have images; a copy, so that `rows` may go."""
    images = rows["images"].combine_chunks()
    needed = np.zeros(len(images), bool)
    needed[wanted] = True
    counts = np.where(needed, images.value_lengths().to_numpy(zero_copy_only=False), 0)
    offsets = pa.array(np.concatenate([[0], counts.cumsum()]), pa.int32())
    values = images.filter(pa.array(needed)).flatten()
    return pa.table({"item": rows["item"], "images": pa.ListArray.from_arrays(offsets, values)})

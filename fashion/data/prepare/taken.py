"""Pictures that are packed already, taken over from finished shards of a table."""

from collections.abc import Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from fashion.data.prepare.earlier import comparable
from fashion.data.prepare.stats import read_stats
from fashion.data.rows import flatten
from fashion.data.schema import GROUP_ITEMS, digests_file, items_file, rows_file
from fashion.data.table import ItemTable
from fashion.storage import Store

Key = tuple[str, str]  # item, image
Pictures = dict[Key, tuple[dict, str]]  # the image struct of ITEMS, and the digest of the picture


class Taken:
    """From the table at `out`."""

    def __init__(self, out: Store):
        self.out = out

    def of_sources(self, rows: pa.Table, sources: Iterable[tuple[str, str]]) -> tuple[Pictures, list[Key]]:
        """The pictures of these annotations that finished shards hold, with their digests, and those that were left out
        of them."""
        packed: Pictures = {}
        dropped: set[Key] = set()
        for name, old_rows in sources:
            same = self.same(rows, old_rows) - packed.keys()
            if same:
                packed |= self.pictures(name, same)
                dropped |= same & set(read_stats(self.out, name).dropped)
        return packed, sorted(dropped - packed.keys())

    def same(self, rows: pa.Table, old_rows: str) -> set[Key]:
        """The images whose annotations and versions are as they were."""
        now, then = comparable(rows, self.out.read_table(rows_file(old_rows)))
        then = then.filter(pc.is_in(then["item"], now["item"].unique()))
        now = now.filter(pc.is_in(now["item"], then["item"].unique()))
        was = _by_key(then)
        return {key for key, row in _by_key(now).items() if was.get(key) == row}

    def pictures(self, old: str, same: Collection[Key] | None) -> Pictures:
        """The pictures of the finished shard `old`, and their digests; of the images `same` alone, where that is given.
        Of its pictures only the row groups are read that hold some of them."""
        if not self.out.exists(items_file(old)):  # every picture of it was bad
            return {}
        digests = {key: row["digest"] for key, row in _by_key(self.out.read_table(digests_file(old))).items()}
        table = ItemTable(self.out)
        groups: Iterable[int | None] = [None]
        if same is not None:
            items = table.read_packed(old, columns=["item"])["item"]
            places = pc.indices_nonzero(pc.is_in(items, pa.array({item for item, _ in same}, items.type)))
            numbers = sorted({place // GROUP_ITEMS for place in places.to_pylist()})
            groups = numbers if 2 * len(numbers) * GROUP_ITEMS < len(items) else groups
        return {
            key: ({name: value for name, value in row.items() if name != "item"}, digests[key])
            for group in groups
            for key, row in _by_key(flatten(table.read_packed(old, group))).items()
            if same is None or key in same
        }


def keys_of(rows: pa.Table) -> list[Key]:
    return list(zip(rows["item"].to_pylist(), rows["image"].to_pylist(), strict=True))


def _by_key(rows: pa.Table) -> dict[Key, dict]:
    return dict(zip(keys_of(rows), rows.to_pylist(), strict=True))

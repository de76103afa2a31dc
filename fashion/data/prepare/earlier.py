"""What earlier runs left of an item table, and how new annotations differ from it."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from fashion.data.prepare.planned import PlannedShard
from fashion.data.prepare.shards import Starts
from fashion.data.schema import rows_file, stats_file
from fashion.storage import READERS, Store


class Earlier:
    """The shards of earlier plans, the newest plan first, and which of them are finished."""

    def __init__(self, out: Store | None, records: list[dict]):
        self.out = out
        self.plans = [[PlannedShard.of(about) for about in record["shards"]] for record in records]
        names = out.names("stats", recursive=True) if out else []
        listed = [name.removeprefix("stats/").removesuffix(".json") for name in names]
        self.written = set(listed)
        self.numbers = Counter()
        for name in [*listed, *(shard.name for plan in self.plans for shard in plan)]:
            split, _, number = name.partition("/shard-")
            self.numbers[split] = max(self.numbers[split], int(number) + 1)

    def new_name(self, split: str) -> str:
        """A name that no shard has had."""
        self.numbers[split] += 1
        return f"{split}/shard-{self.numbers[split] - 1:05d}"

    @property
    def starts(self) -> Starts | None:
        """Where the shards of the newest plan begin."""
        if not self.plans:
            return None
        starts: Starts = {}
        for shard in self.plans[0]:
            starts.setdefault(shard.split, []).append(shard.start)
        return {split: sorted(held) for split, held in starts.items()}

    def covering(self, split: str, start: int) -> PlannedShard | None:
        """The finished shard of the split in whose range `start` lies."""
        for plan in self.plans:
            shard = _covering(plan, split, start)
            if shard and shard.name in self.written:
                return shard
        return None

    def stats(self, shards: list[PlannedShard]) -> dict[str, dict]:
        """Name -> stats of those that are finished."""
        names = [shard.name for shard in shards if shard.name in self.written]
        with ThreadPoolExecutor(READERS) as pool:
            return dict(zip(names, pool.map(lambda name: self.out.read_json(stats_file(name)), names), strict=True))


class Changes:
    """Images that come, go and change against the newest earlier plan, counted shard by shard."""

    def __init__(self, earlier: Earlier):
        self.out = earlier.out
        self.plan = earlier.plans[0] if earlier.plans else []
        self.added = self.changed = self.known = 0

    def add(self, split: str, start: int, rows: pa.Table, digest: str) -> None:
        """A new shard, and the digest of its rows."""
        old = _covering(self.plan, split, start)
        if old is None:
            self.added += rows.num_rows
        elif old.rows == digest:
            self.known += rows.num_rows
        else:
            before, now = _texts(self.out.read_table(rows_file(old.rows), rows.column_names)), _texts(rows)
            found = now.keys() & before.keys()
            self.known += len(found)
            self.added += len(now) - len(found)
            self.changed += sum(now[key] != before[key] for key in found)

    def say(self, shards: int, packed: int) -> str | None:
        """The line for the user; None where it is the first plan."""
        if not self.plan:
            return None
        removed = sum(shard.images for shard in self.plan) - self.known
        return (
            f"annotations changed: {self.added:,} images added, {removed:,} removed, {self.changed:,} changed; "
            f"{packed} of {shards} shards are packed"
        )


def _covering(plan: list[PlannedShard], split: str, start: int) -> PlannedShard | None:
    """The last shard of the split that begins at `start` or before."""
    return max((s for s in plan if s.split == split and s.start <= start), key=lambda s: s.start, default=None)


def _texts(rows: pa.Table) -> dict[tuple[str, str], str]:
    return {(row["item"], row["image"]): json.dumps(row) for row in rows.to_pylist()}

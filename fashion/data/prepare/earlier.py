"""What earlier runs left of an item table, and how new annotations differ from it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pyarrow as pa

from fashion.data.prepare.gone import live_stats
from fashion.data.prepare.planned import PlannedShard, PlanRecord
from fashion.data.prepare.shards import Starts
from fashion.data.prepare.stats import PackStats, read_stats
from fashion.data.schema import ADDRESS, VERSION, digests_file, items_file, rows_file
from fashion.errors import InputError
from fashion.storage import READERS, Store


class Earlier:
    """The shards of earlier plans, the newest plan first, and which of them are finished."""

    def __init__(self, out: Store | None, records: list[PlanRecord]):
        self._out = out
        self.plans = [[PlannedShard.of(shard) for shard in record.shards] for record in records]
        self.sources = records[0].sources if records else None  # digest of the annotation files
        names = out.names("stats", recursive=True) if out else []
        listed = [name.removeprefix("stats/").removesuffix(".json") for name in names]
        self.files = set(out.names("items", recursive=True) + out.names("digests", recursive=True)) if out else set()
        self.written = {name for name in listed if digests_file(name) in self.files}
        self.numbers: Counter[str] = Counter()
        for name in [*listed, *(shard.name for plan in self.plans for shard in plan)]:
            split, _, number = name.partition("/shard-")
            self.numbers[split] = max(self.numbers[split], int(number) + 1)

    @property
    def out(self) -> Store:
        """The table's folder; not to be asked for where there is none, which has no earlier plans."""
        assert self._out is not None
        return self._out

    def new_name(self, split: str) -> str:
        """A name that no shard has had."""
        self.numbers[split] += 1
        return f"{split}/shard-{self.numbers[split] - 1:05d}"

    @property
    def flat(self) -> bool:
        """Whether the shards of a split are ranges of hashes that do not overlap, and nothing is gone of them."""
        return not any(shard.layer or shard.gone for plan in self.plans for shard in plan)

    @property
    def images(self) -> int:
        """Of the newest plan."""
        return sum(shard.images for shard in self.plans[0]) if self.plans else 0

    @property
    def starts(self) -> Starts | None:
        """Where the shards of the newest plan begin."""
        if not self.plans:
            return None
        starts: Starts = {}
        for shard in self.plans[0]:
            starts.setdefault(shard.split, []).append(shard.start)
        return {split: sorted(hashes) for split, hashes in starts.items()}

    def covering(self, split: str, start: int) -> PlannedShard | None:
        """The finished shard of the split in whose range `start` lies."""
        for plan in self.plans:
            shard = _covering(plan, split, start)
            if shard and shard.name in self.written:
                return shard
        return None

    def stats(self, shards: Sequence[PlannedShard]) -> dict[str, PackStats]:
        """Name -> stats of those that are finished, of what the table has of them; one of which something is damaged or
        missing is not."""

        def read(shard: PlannedShard) -> PackStats | None:
            with suppress(InputError):
                stats = read_stats(self.out, shard.name)
                whole = not stats.items or items_file(shard.name) in self.files
                return live_stats(self.out, shard, stats) if whole else None
            return None

        written = [shard for shard in shards if shard.name in self.written]
        with ThreadPoolExecutor(READERS) as pool:
            pairs = zip(written, pool.map(read, written), strict=True)
            return {shard.name: stats for shard, stats in pairs if stats}


class Changes:
    """Images that come, go and change against the newest earlier plan, counted shard by shard."""

    def __init__(self, earlier: Earlier):
        self.earlier = earlier
        self.plan = earlier.plans[0] if earlier.plans else []
        self.added = self.changed = self.replaced = self.known = 0

    def add(self, shard: PlannedShard, rows: pa.Table) -> None:
        """A new shard and its rows: annotations, with VERSION where it is known."""
        old = _covering(self.plan, shard.split, shard.start)
        if old is None:
            self.added += rows.num_rows
        elif old.rows in (shard.rows, shard.annotations):
            self.known += rows.num_rows
        else:
            now, before = (_texts(t) for t in comparable(rows, self.earlier.out.read_table(rows_file(old.rows))))
            both = now.keys() & before.keys()
            self.known += len(both)
            self.added += len(now) - len(both)
            changed = {key for key in both if now[key][0] != before[key][0]}
            self.changed += len(changed)
            versions = [(now[key][1], before[key][1]) for key in both - changed]
            self.replaced += sum(None not in pair and pair[0] != pair[1] for pair in versions)

    def of(self, counts: Mapping[str, int]) -> None:
        """As counted elsewhere."""
        self.added, self.changed = counts["added"], counts["changed"]
        self.replaced, self.known = counts["replaced"], counts["known"]

    def message(self, shards: int, packed: int, *, pictures_alone: bool) -> str | None:
        """The line for the user; None where it is the first plan, or nothing that the table holds is another.

        `pictures_alone`: the annotations are those of the earlier plan.
        """
        removed = sum(shard.images for shard in self.plan) - self.known
        if not self.plan or (pictures_alone and not self.replaced):
            return None
        counts = f"{self.added:,} images added, {removed:,} removed, {self.changed:,} changed"
        replaced = f"pictures replaced under their names: {self.replaced:,}"
        parts = [] if pictures_alone else [f"annotations changed: {counts}"]
        parts += [replaced] if self.replaced else []
        return f"{'; '.join(parts)}; {packed} of {shards} shards are packed"


def _covering(plan: list[PlannedShard], split: str, start: int) -> PlannedShard | None:
    """The last shard of the split that begins at `start` or before."""
    return max((s for s in plan if s.split == split and s.start <= start), key=lambda s: s.start, default=None)


def comparable(now: pa.Table, then: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Annotations of a shard and earlier ones by the columns that tell of a change: addresses may be signed anew each day,
    and tables of older versions know no versions of pictures."""
    names = [name for name in now.column_names if name in then.column_names and name != ADDRESS.name]
    return now.select(names), then.select(names)


def _texts(rows: pa.Table) -> dict[tuple[str, str], tuple[str, int | None]]:
    """Item and image -> annotation and version."""
    versions = [None] * rows.num_rows
    if VERSION.name in rows.column_names:
        versions, rows = rows[VERSION.name].to_pylist(), rows.drop_columns(VERSION.name)
    pairs = zip(rows.to_pylist(), versions, strict=True)
    return {(row["item"], row["image"]): (json.dumps(row), version) for row, version in pairs}

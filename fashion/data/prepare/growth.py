"""Which items of today's annotations an earlier table holds as they are, and in which of its shards.

Rows are compared by numbers of 64 bits, slot by slot of the items' hashes, both sides on disk: in memory is one slot, and
12 bytes for each item that has left its shard.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.data.prepare.earlier import Earlier
from fashion.data.prepare.join import MISSING, NOWHERE, UNKNOWN, Joined, Side, join
from fashion.data.prepare.planned import PlannedShard
from fashion.data.prepare.spool import SLOT_ROWS, Slots, hashes, read_spool
from fashion.data.prepare.spread import Slot
from fashion.data.prepare.versions import Versions
from fashion.data.schema import ADDRESS, ANNOTATIONS, VERSION, gone_file, rows_file
from fashion.storage import READERS

# Of today's rows beside the columns of ANNOTATIONS.
HASH = pa.field("hash", pa.uint64())
HOME = pa.field("home", pa.int32())  # number of the shard that holds the row's item as it is, or NOWHERE
SOURCES = pa.field("sources", pa.list_(pa.int32()))  # numbers of the shards that hold something of the item
_TODAY = pa.schema([*ANNOTATIONS, HASH, VERSION, HOME, SOURCES])

_EARLIER = pa.schema(
    [(name, pa.uint64()) for name in ("item", "key", "row", "version")] + [("shard", pa.int32()), ("live", pa.bool_())]
)


@dataclass(kw_only=True)
class Held:
    """A finished shard of an earlier plan, and what of it is as it was."""

    shard: PlannedShard
    rows: int = 0  # in its files
    kept: int = 0  # of these, of items that are as they were
    lost: list[np.ndarray] = field(default_factory=list)  # hashes of the other items


class Growth:
    """Today's annotations against those of earlier plans; `folder`, which is there, takes what is kept on disk."""

    def __init__(self, earlier: Earlier, folder: Path, *, seed: int, slot_rows: int = SLOT_ROWS):
        self.earlier, self.folder, self.seed = earlier, folder, seed
        shards = list({shard.name: shard for plan in earlier.plans for shard in plan}.values())
        self.held = [Held(shard=shard) for shard in shards if shard.name in earlier.written]
        self.slots = max(1, -(-sum(shard.images for shard in shards) // slot_rows))
        self.changes: Counter = Counter()  # images that are added, changed, replaced, known
        self.loose: Counter = Counter()  # split -> images of items that no shard holds as they are
        self.touched: set[tuple[str, int]] = set()  # split and start of the newest plan's ranges that these lie in
        self._parts: list[tuple[Slot, list[tuple[str, Path]]]] = []
        self._index = self._write_index(shards)

    def _write_index(self, shards: list[PlannedShard]) -> list[Path]:
        """The rows of earlier plans as numbers, slot by slot. Those of shards that were not finished are only counted with:
        to be told what has changed."""
        parts = Slots(self.folder / "earlier", self.slots, _EARLIER)
        numbers = {held.shard.name: number for number, held in enumerate(self.held)}
        newest = {shard.name for shard in self.earlier.plans[0]}

        def read(shard: PlannedShard) -> pa.Table:
            out = self.earlier.out
            rows = out.read_table(rows_file(shard.rows))
            gone = out.read_table(gone_file(shard.gone))["item"].combine_chunks() if shard.gone else None
            live = np.full(rows.num_rows, shard.name in newest)
            if gone is not None:
                live &= ~pc.is_in(rows["item"], gone).to_numpy()
            versions = np.full(rows.num_rows, UNKNOWN)
            if VERSION.name in rows.column_names:
                versions = pc.fill_null(rows[VERSION.name], pa.scalar(int(MISSING), VERSION.type)).to_numpy()
            key, row = row_numbers(rows)
            shard_number = np.full(rows.num_rows, numbers.get(shard.name, NOWHERE), np.int32)
            item = hashes(rows["item"], self.seed)
            return pa.table([item, key, row, versions, shard_number, live], schema=_EARLIER)

        with ThreadPoolExecutor(READERS) as pool:
            for i in range(0, len(shards), READERS):
                for shard, rows in zip(shards[i : i + READERS], pool.map(read, shards[i : i + READERS]), strict=False):
                    if shard.name in numbers:
                        self.held[numbers[shard.name]].rows = rows.num_rows
                    parts.add(rows, rows["item"].to_numpy())
        return parts.done()

    def add(self, slots: Iterable[Slot], versions: Versions) -> None:
        """All of today's annotations."""
        (self.folder / "today").mkdir()
        for slot in slots:
            rows = [part for _, part in slot.parts]
            versions_of = [_numbers(versions.of(part)[0]) for part in rows]
            keys = [row_numbers(part) for part in rows]
            today = Side(
                item=_joined([part["hash"].to_numpy() for part in rows]),
                key=_joined([key for key, _ in keys]),
                row=_joined([row for _, row in keys]),
                version=_joined(versions_of),
            )
            joined = join(today, *self._earlier(slot))
            self._count(joined)
            paths, start = [], 0
            for split, part in slot.parts:
                place = slice(start, start + part.num_rows)
                paths.append((split, self._write(split, part, joined, place)))
                start += part.num_rows
            self._parts.append((Slot(low=slot.low, high=slot.high, parts=[]), paths))

    def today(self) -> Iterator[Slot]:
        """What was added, with the columns VERSION, HOME and SOURCES."""
        for slot, paths in self._parts:
            parts = [(split, read_spool(path, _TODAY)) for split, path in paths]
            yield Slot(low=slot.low, high=slot.high, parts=parts)

    def _earlier(self, slot: Slot) -> tuple[Side, np.ndarray, np.ndarray]:
        """The earlier rows of a slot's items, the number of the shard of each, and whether the newest plan has it."""
        first, last = (hash * self.slots >> 64 for hash in (slot.low, slot.high - 1))
        rows = pa.concat_tables([read_spool(path, _EARLIER) for path in self._index[first : last + 1]])
        low, high = (pa.scalar(value, pa.uint64()) for value in (slot.low, slot.high - 1))
        inside = pc.and_(pc.greater_equal(rows["item"], low), pc.less_equal(rows["item"], high))
        columns = {name: rows.filter(inside)[name].to_numpy() for name in _EARLIER.names}
        shard, live = columns.pop("shard"), columns.pop("live")
        return Side(**columns), shard, live

    def _count(self, joined: Joined) -> None:
        self.changes.update(joined.changes)
        for number in np.unique(joined.home[joined.home != NOWHERE]).tolist():
            self.held[number].kept += int((joined.home == number).sum())
        for number in np.unique(joined.lost_shard).tolist():
            self.held[number].lost.append(joined.lost_item[joined.lost_shard == number])

    def _write(self, split: str, part: pa.Table, joined: Joined, place: slice) -> Path:
        home = joined.home[place]
        loose = part["hash"].to_numpy()[home == NOWHERE]
        self.loose[split] += len(loose)
        starts = (self.earlier.starts or {}).get(split, [])
        if starts and len(loose):
            at = np.searchsorted(np.array(starts, np.uint64), loose, side="right").clip(1) - 1
            self.touched |= {(split, starts[i]) for i in np.unique(at).tolist()}
        version = joined.version[place]
        part = part.append_column(VERSION, pa.array(version, VERSION.type, mask=version == UNKNOWN))
        part = part.append_column(HOME, pa.array(home, HOME.type))
        part = part.append_column(SOURCES, pa.array(joined.sources[place], SOURCES.type))
        path = self.folder / "today" / f"{len(self._parts):05d}-{split}.arrow"
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, _TODAY) as writer:
            writer.write_table(part.cast(_TODAY))
        return path


def row_numbers(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Of each annotation a number of 64 bits for its item and image, and one for all of it but its address."""
    columns = [_texts(rows[name]) for name in ANNOTATIONS.names if name != ADDRESS.name]
    texts = (pc.binary_join_element_wise(*part, "\x1f", null_handling="replace") for part in (columns[:2], columns))
    keys, whole = (np.fromiter(map(_hash, part.to_pylist()), np.uint64, rows.num_rows) for part in texts)
    return keys, whole


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Each value as text, null as a text that no value has."""
    if pa.types.is_list(column.type):
        column = pc.binary_join(column.cast(pa.list_(pa.string())), "\x1e")
    return pc.fill_null(column.cast(pa.string()), "\0")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _numbers(versions: list[int | None]) -> np.ndarray:
    return np.array([UNKNOWN if version is None else version for version in versions], np.uint64)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)

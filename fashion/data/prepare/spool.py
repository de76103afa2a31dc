"""Annotations on disk while shards are planned: streams of batches, split by a hash so that each part fits in memory."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from fashion.data.schema import ANNOTATIONS
from fashion.seeds import seed_of

SLOT_ROWS = 200_000  # rows of annotations that are held in memory at once


def write_spool(batches: Iterable[pa.RecordBatch], path: Path) -> Counter:
    """Writes the rows; returns how many there are by (split, domain, whether a role is given)."""
    counts: Counter = Counter()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, ANNOTATIONS) as writer:
        for batch in batches:
            writer.write_batch(batch)
            kinds = pa.table([batch["split"], batch["domain"], batch["role"].is_valid()], ["split", "domain", "role"])
            for row in kinds.group_by(["split", "domain", "role"]).aggregate([([], "count_all")]).to_pylist():
                counts[row["split"], row["domain"], row["role"]] += row["count_all"]
    return counts


def read_spool(path: Path, schema: pa.Schema = ANNOTATIONS) -> pa.Table:
    return pa.Table.from_batches(spooled(path), schema)


def spooled(path: Path) -> Iterator[pa.RecordBatch]:
    """The batches of a file of streams, one behind another."""
    with pa.OSFile(str(path)) as file:
        while file.tell() < file.size():
            yield from pa.ipc.open_stream(file)


def hashes(names: pa.ChunkedArray | pa.Array, seed: int, first: Mapping[str, str] = MappingProxyType({})) -> np.ndarray:
    """(N,) uint64, a seeded hash of each row's name, or of the one that stands for it in `first`."""
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    coded = names.dictionary_encode()
    distinct = coded.dictionary.to_pylist()
    values = np.array([seed_of(seed, "shard", first.get(name, name)) for name in distinct], np.uint64)
    return values[coded.indices.to_numpy(zero_copy_only=False)]


class Slots:
    """Rows on disk, split by a number of 64 bits that each has: slot i holds the i-th range of the numbers, its rows in the
    order in which they came. In memory are `held` rows; a file is open only while it is written to, whatever the number
    of slots."""

    def __init__(self, folder: Path, slots: int, schema: pa.Schema, *, held: int = SLOT_ROWS):
        folder.mkdir()
        self.paths = [folder / f"slot-{i:05d}.arrow" for i in range(slots)]
        self.schema, self.held = schema, held
        self._waiting: list[pa.Table] = []
        self._slots: list[np.ndarray] = []
        self._rows = 0

    def add(self, rows: pa.Table, numbers: np.ndarray) -> None:
        """`rows` of the schema, and the number of each, (N,) uint64."""
        self._waiting.append(rows)
        self._slots.append(((numbers >> np.uint64(32)) * np.uint64(len(self.paths))) >> np.uint64(32))
        self._rows += rows.num_rows
        if self._rows >= self.held:
            self._write()

    def done(self) -> list[Path]:
        """The files of all slots, once no row is to come."""
        self._write()
        for path in self.paths:
            path.touch()
        return self.paths

    def _write(self) -> None:
        if not self._rows:
            return
        slot = np.concatenate(self._slots)
        order = np.argsort(slot, kind="stable")
        rows = pa.concat_tables(self._waiting).take(pa.array(order)).combine_chunks()
        ends = np.searchsorted(slot[order], np.arange(len(self.paths) + 1, dtype=np.uint64))
        for path, start, end in zip(self.paths, ends[:-1].tolist(), ends[1:].tolist(), strict=True):
            if start < end:
                with pa.OSFile(str(path), "ab") as file, pa.ipc.new_stream(file, self.schema) as writer:
                    writer.write_table(rows.slice(start, end - start))
        self._waiting, self._slots, self._rows = [], [], 0


def distribute(spools: list[Path], folder: Path, slots: int, seed: int, column: str) -> list[Path]:
    """Split the spools by a column into slots that fit in memory, each a range of the column's hashes."""
    if slots == 1:
        return spools
    parts = Slots(folder, slots, ANNOTATIONS)
    for spool in spools:
        for batch in spooled(spool):
            parts.add(pa.Table.from_batches([batch]), hashes(batch[column], seed))
        spool.unlink()
    return parts.done()

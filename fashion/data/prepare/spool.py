"""Annotations on disk while shards are planned: streams of batches, split by a hash so that each part fits in memory."""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from fashion.data.schema import ANNOTATIONS
from fashion.seeds import seed_of


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


def read_spool(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_stream(file).read_all()


def hashes(names: pa.ChunkedArray | pa.Array, seed: int, first: Mapping[str, str] = MappingProxyType({})) -> np.ndarray:
    """(N,) uint64, a seeded hash of each row's name, or of the one that stands for it in `first`."""
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    coded = names.dictionary_encode()
    distinct = coded.dictionary.to_pylist()
    values = np.array([seed_of(seed, "shard", first.get(name, name)) for name in distinct], np.uint64)
    return values[coded.indices.to_numpy(zero_copy_only=False)]


def distribute(spools: list[Path], folder: Path, slots: int, seed: int, column: str) -> list[Path]:
    """Split the spools by a column into slots that fit in memory, each a range of the column's hashes."""
    if slots == 1:
        return spools
    folder.mkdir()
    paths = [folder / f"slot-{i:05d}.arrow" for i in range(slots)]
    with ExitStack() as stack:
        files = [stack.enter_context(pa.OSFile(str(path), "wb")) for path in paths]
        writers = [stack.enter_context(pa.ipc.new_stream(file, ANNOTATIONS)) for file in files]
        for spool in spools:
            with pa.OSFile(str(spool)) as source:
                for batch in pa.ipc.open_stream(source):
                    slot = ((hashes(batch[column], seed) >> np.uint64(32)) * np.uint64(slots)) >> np.uint64(32)
                    for i in np.unique(slot):
                        writers[int(i)].write_batch(batch.filter(pa.array(slot == i)))
            spool.unlink()
    return paths

"""The work of one task of prepare: a shard of the plan -> its files, the stats last."""

import hashlib
from collections import Counter
from collections.abc import Collection

import pyarrow as pa
import pyarrow.parquet as pq

from fashion.data.pack import Key, PackedShard, pack_shard
from fashion.data.pictures import Pictures
from fashion.data.schema import ADDRESS
from fashion.data.table import (
    GROUP_ITEMS,
    ItemTable,
    digests_file,
    items_file,
    quarantine_file,
    rows_file,
    stats_file,
)
from fashion.data.table_plan import PlannedShard
from fashion.data.table_settings import TableSettings
from fashion.storage import CHECKED, Store


class ShardPacker:
    """Packs shards of the plan at `out` with pictures of `source`; without `out`, in memory alone."""

    def __init__(self, source: Store, out: Store | None, settings: TableSettings):
        self.source, self.out, self.settings = source, out, settings

    def pack(self, shard: PlannedShard, drop: Collection[Key] | None = None) -> dict:
        """Write the shard without the pictures `drop` (default: those left out of its `old`); returns its stats.

        Pictures whose annotation is as in `old` are taken over from it. Where nothing is other than a second try of the
        pictures in its quarantine, and they fail again, the stats of `old` are returned: it stays.
        """
        rows = self.out.read_table(rows_file(shard.rows))
        if not shard.old:
            return self._write(shard, self.make(rows, drop=drop or ()), drop or ())
        old, old_rows = shard.old
        stats = self.out.read_json(stats_file(old))
        before = list(map(tuple, stats["dropped"]))
        keys = _keys(rows)
        drop = sorted(set(before) & set(keys) if drop is None else drop)
        if old_rows == shard.rows and drop == before:
            bad = set(_keys(self.out.read_table(quarantine_file(old))))
            again = rows.filter(pa.array([key in bad for key in keys], pa.bool_()))
            if not self.make(again).images:
                return stats
        same = None
        if old_rows != shard.rows:
            told = rows.drop_columns(ADDRESS.name)
            before = _by_key(self.out.read_table(rows_file(old_rows), told.column_names))
            same = {key for key, row in _by_key(told).items() if before.get(key) == row}
        return self._write(shard, self.make(rows, held=self._held(old, same), drop=drop), drop)

    def make(self, rows: pa.Table, **options) -> PackedShard:
        """Rows of annotations, packed in memory."""
        s = self.settings
        access = {"follow_links": s.follow_links, "allow_private_hosts": s.allow_private_hosts}
        annotated = Pictures(self.source, **access) if s.pictures else None
        pictures = Pictures(self.source, s.pictures, **access)
        return pack_shard(rows, pictures, crop=s.crop, size=s.size, annotated=annotated, **options)

    def _held(self, old: str, same: Collection[Key] | None) -> dict[Key, tuple[dict, str]]:
        """The pictures of the finished shard `old`, and their digests; of the images `same` alone, where that is given."""
        if not self.out.exists(items_file(old)):  # every picture of it was bad
            return {}
        digests = {key: row["digest"] for key, row in _by_key(self.out.read_table(digests_file(old))).items()}
        return {
            key: ({name: value for name, value in row.items() if name != "item"}, digests[key])
            for key, row in _by_key(ItemTable(self.out).image_rows(old)).items()
            if same is None or key in same
        }

    def _write(self, shard: PlannedShard, packed: PackedShard, drop: Collection[Key]) -> dict:
        # Nearly all of it is pictures: not compressible, and the minimum and maximum of a page are two of them.
        sink = pa.BufferOutputStream()
        pq.write_table(
            packed.items,
            sink,
            row_group_size=GROUP_ITEMS,
            compression="none",
            write_statistics=False,
            use_dictionary=False,
            **CHECKED,
        )
        data = sink.getvalue()
        if packed.items.num_rows:
            self.out.write(items_file(shard.name), data)
        if packed.quarantine.num_rows:
            self.out.write_table(quarantine_file(shard.name), packed.quarantine)
        self.out.write_table(digests_file(shard.name), packed.digests)
        digest = hashlib.blake2b(data, digest_size=8).hexdigest()
        stats = stats_of(shard, packed, size=data.size, digest=digest) | {"dropped": sorted(map(list, drop))}
        self.out.write_json(stats_file(shard.name), stats)
        return stats


def stats_of(shard: PlannedShard, packed: PackedShard, *, size: int, digest: str) -> dict:
    """What is written when all else of a shard is. `size`, in bytes, and `digest`: of its items' file."""
    items = packed.items.num_rows
    return {
        "name": shard.name,
        "split": shard.split,
        "groups": [min(GROUP_ITEMS, items - start) for start in range(0, items, GROUP_ITEMS)],
        "items": items,
        "images": packed.images,
        "bad": packed.quarantine.num_rows,
        "reasons": dict(Counter(packed.quarantine["reason"].to_pylist())),
        "bytes": size,
        "digest": digest,
    }


def _keys(rows: pa.Table) -> list[Key]:
    return list(zip(rows["item"].to_pylist(), rows["image"].to_pylist(), strict=True))


def _by_key(rows: pa.Table) -> dict[Key, dict]:
    return dict(zip(_keys(rows), rows.to_pylist(), strict=True))

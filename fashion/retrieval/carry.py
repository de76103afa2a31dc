"""Vectors of an earlier catalogue, found again by what the network was shown: nothing is embedded twice."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from fashion.retrieval.embeddings import read_embeddings
from fashion.storage import Store


class Earlier:
    """The shards of an earlier catalogue by digest. About 50 bytes of memory an image."""

    def __init__(self, store: Store, shards: list[str]):
        self.store, self.shards = store, shards
        parts = [
            store.read_table(f"{shard}.parquet", ["digest"])["digest"].to_numpy().astype("S32") for shard in shards
        ]
        sizes = [len(part) for part in parts]
        digests = np.concatenate(parts) if parts else np.empty(0, "S32")
        order = np.argsort(digests, kind="stable")
        self.digests = digests[order]
        self.shard = np.repeat(np.arange(len(sizes)), sizes)[order]
        self.row = np.concatenate([np.arange(size) for size in sizes] or [order])[order]

    def __contains__(self, digest: str) -> bool:
        return self._find(digest) is not None

    def vectors(self, digests: list[str]) -> dict[str, np.ndarray]:
        """name -> (N, D) float32 of N digests that are contained; each shard is read once."""
        carried: dict[str, np.ndarray] = {}
        for shard, places, rows in self._by_shard(digests):
            embedded = read_embeddings(self.store, [shard]).vectors
            for name, x_ND in embedded.items():
                all_ND = carried.setdefault(name, np.empty((len(digests), x_ND.shape[1]), np.float32))
                all_ND[places] = x_ND[rows]
        return carried

    def rows(self, digests: list[str], columns: list[str]) -> pa.Table:
        """These columns of N digests that are contained, N rows in their order; each shard is read once."""
        parts, order = [], []
        for shard, places, rows in self._by_shard(digests):
            parts.append(self.store.read_table(f"{shard}.parquet", columns).take(pa.array(rows)))
            order += places
        return pa.concat_tables(parts).select(columns).take(pa.array(np.argsort(order, kind="stable")))

    def _by_shard(self, digests: list[str]) -> Iterator[tuple[str, list[int], np.ndarray]]:
        """(shard, places of the digests that it holds, and its rows that they are at)."""
        at = np.array([self._find(digest) for digest in digests], np.int64)
        by_shard = defaultdict(list)
        for place, shard in enumerate(self.shard[at].tolist()):
            by_shard[shard].append(place)
        for shard, places in by_shard.items():
            yield self.shards[shard], places, self.row[at[places]]

    def _find(self, digest: str) -> int | None:
        at = int(np.searchsorted(self.digests, digest.encode()))
        return at if at < len(self.digests) and self.digests[at] == digest.encode() else None

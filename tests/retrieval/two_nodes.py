"""Search a gallery on a cluster of two machines, one of which is killed half-way; prints whether the answer is the same.

Run by test_sharded.py in a process of its own, because a process can be part of one cluster only.
"""

import sys
import time
from pathlib import Path

import numpy as np
import ray
from ray.cluster_utils import Cluster

from fashion.retrieval.gallery import Shard
from fashion.retrieval.rank import rank
from fashion.retrieval.search.queries import Queries
from fashion.retrieval.search.ray_parts import RayMapReduce
from fashion.storage import Store


def main(folder: str, shards: int) -> None:
    parts = [Shard(number=n, store=Store(folder), name=f"test/shard-{n:05d}") for n in range(shards)]
    held = np.load(Path(folder) / "queries.npz", allow_pickle=False)
    queries = Queries.of(held["vectors"], held["items"].tolist())
    expected = rank(queries, parts, 10)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False},
    )
    other = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    seen = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        if len(seen) == 2:
            cluster.remove_node(other, allow_graceful=False)

    found = rank(queries, parts, 10, map_reduce=RayMapReduce(slots=2), progress=progress)
    assert seen[-1] == (shards, shards), seen
    patience = time.monotonic() + 60  # the head notices a dead machine after some missed heartbeats
    while sum(node["Alive"] for node in ray.nodes()) > 1:
        assert time.monotonic() < patience, "both machines are alive"
        time.sleep(0.2)
    same = all(
        np.array_equal(getattr(found, name), getattr(expected, name))
        for name in ("scores", "top", "matches", "columns")
    )
    same &= found.listed.equals(expected.listed)
    same &= all(
        np.array_equal(a, b) for a, b in zip(*(vars(r.measures).values() for r in (found, expected)), strict=True)
    )
    print("the same" if same else "another answer", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

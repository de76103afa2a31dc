"""How much faster the jobs get from 1 node to 4, where their time is waiting.

    python tests/benchmarks/nodes.py [--nodes 1 4] [--wait 1.0]

The nodes are simulated on this machine (ray.cluster_utils) and share its cores, so computing cannot get faster here; what
can is waiting. Each job's own Ray code runs on a store that answers slowly: every file takes `--wait` seconds to come, as
if it were far away. The speed-up says that the work is spread over all nodes and that no part of it stays in line. Rates
are from a job's first finished shard (or step) to its last, so the start of processes is not in them.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ |= {"RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
os.environ |= {"RAY_DATA_DISABLE_PROGRESS_BARS": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
os.environ.pop("RAY_ADDRESS", None)
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import logging

import numpy as np
import pyarrow as pa
import ray
from ray.cluster_utils import Cluster
from ray.data import DataContext

from fashion.data.feed import FeedSettings
from fashion.data.plan import Plan
from fashion.data.prepare.run import prepare
from fashion.data.settings import TableSettings
from fashion.data.stream import FeedActors, stream_options, training_stream
from fashion.data.table import ItemTable
from fashion.demo.catalogue import write_demo
from fashion.networks.files import save_network
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.retrieval.embed import embed
from fashion.retrieval.embedder import Embedder
from fashion.retrieval.rank import rank
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.queries import Queries
from fashion.retrieval.search.ray_parts import ray_map_reduce
from fashion.retrieval.settings import EmbedSettings
from fashion.storage import Store

ITEMS, SHARD_IMAGES, SIZE = 120, 30, 32
PARTS, DIMENSION = 24, 16


class FarStore(Store):
    """A store whose files take their time."""

    def __init__(self, uri: str, wait: float):
        super().__init__(uri)
        self.wait = wait

    def __reduce__(self):
        return FarStore, (self.uri, self.wait)

    def read(self, name: str) -> bytes:
        time.sleep(self.wait)
        return super().read(name)

    def open(self, name: str):
        time.sleep(self.wait)
        return super().open(name)


class FarPart:
    """A part of a gallery that takes its time to come."""

    def __init__(self, number: int, wait: float):
        self.number, self.wait = number, wait

    def open(self, views) -> "FarPart":
        time.sleep(self.wait)
        return self

    def block(self, view) -> Block:
        z = np.random.default_rng(self.number).standard_normal((50, DIMENSION)).astype(np.float32)
        return Block(number=self.number, vectors=z, ids=pa.array(np.arange(50) + 50 * self.number), labels=self.all)

    def labels(self, view, *, images: bool) -> tuple[pa.Array, None]:
        return self.all, None

    @property
    def all(self) -> pa.Array:
        return pa.array(np.full(50, -1))


class Clock:
    """Progress of a job -> units a second from the first to the last."""

    def __init__(self):
        self.seen: list[tuple[float, int]] = []

    def __call__(self, done: int, *_) -> None:
        self.seen.append((time.perf_counter(), done))

    def rate(self) -> float:
        """After the first that took time: what was done at the very beginning is left out."""
        (began, first), (ended, last) = self.seen[1], self.seen[-1]
        return (last - first) / (ended - began)


def preparing(root: Path, wait: float, nodes: int) -> float:
    clock = Clock()
    # 16 threads a task read at a time; a shard of 30 pictures waits twice.
    prepare(
        FarStore(str(root / "catalogue"), wait), Store(root / f"again-{nodes}"), TableSettings(shard_images=SHARD_IMAGES),
        warn=lambda text: None, progress=clock,
    )  # fmt: skip
    return clock.rate()


def feeding(root: Path, wait: float, nodes: int) -> float:
    table = ItemTable(FarStore(str(root / "table"), wait))
    plan = Plan.of(table.shards("train"), items_per_step=8, seed=0)
    feed = FeedSettings(views=2, size=SIZE, slots=1, crop="whole", pairs=False)
    data = training_stream(
        table,
        plan,
        feed,
        steps=range(40 * plan.steps),
        actors=FeedActors(start=nodes, least=nodes, most=nodes, cpus=1.0),
    )
    data.context.execution_options = stream_options(64 << 20)
    clock, steps = Clock(), 0
    for row in data.iter_rows():
        steps += row["step"].size
        clock(steps)
    return clock.rate()


def embedding(root: Path, wait: float, nodes: int) -> float:
    run = Store(root / "network")
    network = build_network(NetworkSettings(name="embnet", size=SIZE, width=0.25, dimension=DIMENSION), seed=0)
    fingerprint = save_network(run, "network.safetensors", network, {})
    embedder = Embedder(
        folder=run,
        file="network.safetensors",
        fingerprint=fingerprint,
        size=SIZE,
        crop="whole",
        transform=network.settings.transform,
    )
    table = ItemTable(FarStore(str(root / "table"), wait))
    shards = [shard for split in ("train", "val", "test") for shard in table.shards(split)]
    clock = Clock()
    embed(table, shards, embedder, Store(root / f"embedded-{nodes}"), EmbedSettings(), progress=clock)
    return clock.rate()


def searching(root: Path, wait: float, nodes: int) -> float:
    queries = Queries.of(np.ones((20, DIMENSION), np.float32), np.zeros(20, np.int64))
    map_reduce, device = ray_map_reduce()
    parts = [FarPart(number, wait) for number in range(PARTS)]
    rank(queries, parts[:nodes], 5, map_reduce=map_reduce, device=device)  # processes start
    began = time.perf_counter()
    rank(queries, parts, 5, map_reduce=map_reduce, device=device)
    return PARTS / (time.perf_counter() - began)


JOBS: dict[str, Callable[[Path, float, int], float]] = {
    "prepare, pictures/s": preparing,
    "train's feed, steps/s": feeding,
    "embed, pictures/s": embedding,
    "search, gallery parts/s": searching,
}


def on(nodes: int, work: Callable[[], float]) -> float:
    """`work` on a cluster of so many nodes with one CPU each, and a head with none."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        DataContext.get_current().print_on_execution_start = False
        return work()
    finally:
        ray.shutdown()
        cluster.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs=2, default=(1, 4), help="fewer and more")
    parser.add_argument("--wait", type=float, default=1.0, help="seconds that a file takes to come")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_demo(root / "catalogue", items=ITEMS, seed=0, workers=1)

        def table() -> float:
            prepare(
                Store(root / "catalogue"), Store(root / "table"), TableSettings(shard_images=SHARD_IMAGES),
                warn=lambda text: None, progress=lambda *_: None,
            )  # fmt: skip
            return 0.0

        on(2, table)
        found = {
            nodes: on(nodes, lambda n=nodes: {title: job(root, given.wait, n) for title, job in JOBS.items()})
            for nodes in dict.fromkeys(given.nodes)
        }
    few, many = given.nodes
    print(f"{'':26}{few:>7} node{many:>8} nodes  speed-up   ({given.wait:g} s a file)")
    for title in JOBS:
        slow, fast = found[few][title], found[many][title]
        print(f"{title:26}{slow:12.1f}{fast:14.1f}{fast / slow:9.2f}x")


if __name__ == "__main__":
    main()

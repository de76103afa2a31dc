"""Exact top-k over embedding shards as Ray tasks, against one faiss IndexFlatIP that holds the whole gallery.

python tests/benchmarks/search.py
python tests/benchmarks/search.py --gallery 10000000 --shards 200 --rounds 0 --faiss false  # one search: memory, seconds

Our side reads its shards from disk, on as many CPUs as the machine has, one thread each; faiss has its vectors in
memory already, all threads and its fastest kernel. Rounds alternate. Near ties: ours are ordered by the exactly rounded
inner product, faiss by its float32 product; where lists differ, the float64 inner products of both ids are compared.
Memory, in a round of its own: the sum over this process and its descendants, Ray's among them, of their proportional share
(PSS: a shared page is counted once), sampled five times a second.
"""

import argparse
import itertools
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import faiss
import numpy as np
import pyarrow as pa
import torch  # noqa: F401  where an evaluation runs it is loaded

from cluster.start import ray_cluster
from fashion.retrieval.embeddings import EMBEDDING, layout, to_table
from fashion.retrieval.gallery import Shard
from fashion.retrieval.rank import Ranking, rank
from fashion.retrieval.search.queries import Queries
from fashion.retrieval.search.ray_parts import ray_map_reduce
from fashion.storage import Store
from tests.benchmarks.kernels import best_kernel, spread

CHUNK = 10_000  # rows drawn at a time


def unit(rng: np.random.Generator, n: int, D: int) -> np.ndarray:
    x = rng.standard_normal((n, D), dtype=np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def write_gallery(store: Store, *, rows: int, D: int, shards: int) -> list[Shard]:
    """Embedding shards of random unit vectors, an item each; one shard in memory at a time."""
    bounds = np.linspace(0, rows, shards + 1).round().astype(int)
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        names = [f"img/TOPS/T_Shirt/id_{n:08d}/shop_01.jpg" for n in range(start, end)]
        same = lambda value: pa.array([value]).take(pa.array(np.zeros(len(names), int)))  # noqa: B023, E731
        about = pa.table(
            {
                "image": names,
                "item": [f"id_{n:08d}" for n in range(start, end)],
                **{"domain": same("shop"), "role": same("gallery"), "category": same("T_Shirt")},
                **{"shard": same(f"test/shard-{number:05d}"), "group": pa.array(np.zeros(len(names), np.int32))},
            }
        )
        vectors = np.concatenate(
            [unit(np.random.default_rng([7, n]), min(CHUNK, end - n), D) for n in range(start, end, CHUNK)]
        )
        table = to_table(about, {EMBEDDING: vectors}, {})
        store.write_table(f"test/shard-{number:05d}.parquet", table, **layout(table))
    return [Shard(number=n, store=store, name=f"test/shard-{n:05d}") for n in range(shards)]


class Memory:
    """The greatest memory of this process and its descendants together while the context lasts."""

    def __enter__(self):
        self.peak, self.over = 0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *fault):
        self.over.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.over.wait(0.2):
            self.peak = max(self.peak, sum(_pss(pid) for pid in _family()))


def _family() -> list[int]:
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(pid)] = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sorted(family)


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def disagreement(found: Ranking, faiss_rows: np.ndarray, queries_QD: np.ndarray, shards: list[Shard]) -> str:
    """How many ids differ from faiss's, and whether float64 says that ours are right wherever they do."""
    ours = np.array([int(image[20:28]) for image in found.listed["image"].to_pylist()])[found.top]
    differ = np.argwhere(ours != faiss_rows)
    wanted = np.unique(np.r_[ours[tuple(differ.T)], faiss_rows[tuple(differ.T)]])
    kept, start = {}, 0
    for shard in shards:
        vectors = shard.open().block().vectors
        kept |= {n: vectors[n - start] for n in wanted[(wanted >= start) & (wanted < start + len(vectors))].tolist()}
        start += len(vectors)
    score = lambda q, n: float(queries_QD[q].astype(np.float64) @ kept[n].astype(np.float64))  # noqa: E731
    gaps = [score(q, ours[q, j]) - score(q, faiss_rows[q, j]) for q, j in differ]
    sets = sum(set(a.tolist()) != set(b.tolist()) for a, b in zip(ours, faiss_rows, strict=True))
    return (
        f"{len(differ)} of {ours.size:,} places hold another id, and {sets} queries another set of ids; by float64 the "
        f"ids there are apart by at most {max(map(abs, gaps), default=0):.1e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=4000)
    parser.add_argument("--gallery", type=int, default=200_000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--faiss", choices=("true", "false"), default="true")
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16", "int8"), help="of the first pass; default: the faster"
    )
    options = parser.parse_args()
    best_kernel()
    queries_QD = unit(np.random.default_rng(3), options.queries, options.dimension)
    queries = Queries.unlabelled(queries_QD)
    cores = os.cpu_count() or 1
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        shards = write_gallery(Store(folder), rows=options.gallery, D=options.dimension, shards=options.shards)
        index = None
        if options.faiss == "true":
            index = faiss.IndexFlatIP(options.dimension)
            for shard in shards:
                index.add(shard.open().block().vectors)
        with ray_cluster(cpus=cores):
            map_reduce, device = ray_map_reduce()
            search = lambda: rank(  # noqa: E731
                queries, shards, options.k, map_reduce=map_reduce, device=device, precision=options.precision
            )
            if options.rounds:
                began = time.perf_counter()
                search()  # the workers start, and import
                first = time.perf_counter() - began
                search()  # and measure what they do fastest
            for _ in range(options.rounds):
                began = time.perf_counter()
                found = search()
                ours.append(time.perf_counter() - began)
                if index:
                    began = time.perf_counter()
                    _, rows = index.search(queries_QD, options.k)
                    theirs.append(time.perf_counter() - began)
            index = None
            began = time.perf_counter()
            with Memory() as memory:
                search()
            sampled = time.perf_counter() - began
        flop = 2e-9 * options.queries * options.gallery * options.dimension
        rate = lambda seconds: f"{flop / sorted(seconds)[len(seconds) // 2]:.0f} GFLOP/s"  # noqa: E731
        print(
            f"{options.queries:,} queries, top {options.k} of {options.gallery:,} x {options.dimension} in "
            f"{options.shards} shards, {cores} cores, {options.rounds} rounds, medians (least to greatest)"
        )
        if ours:
            print(
                f"shards as Ray tasks: {spread(ours)} s, {rate(ours)} with reading; the first, with starting: {first:.1f} s"
            )
        if theirs:
            print(f"faiss IndexFlatIP:   {spread(theirs)} s, {rate(theirs)} in memory")
            ratios = [t / o for t, o in zip(theirs, ours, strict=True)]
            print(f"faiss / ours         {spread(ratios)} (bar 1.5 where bfloat16 is native, else 1.0)")
            print(disagreement(found, rows, queries_QD, shards))
    print(
        f"peak memory of all processes {memory.peak / 2**30:.2f} GiB; that search took {sampled:.1f} s, "
        f"load {os.getloadavg()[0]:.0f}"
    )


if __name__ == "__main__":
    main()

"""Recall@k, mAP, R-precision and MRR over the whole gallery, against pytorch-metric-learning's AccuracyCalculator.

python tests/benchmarks/metrics.py

Both have everything in memory, torch loaded, all threads of the machine and the fastest kernel of faiss, each in a process
of its own so that its peak memory is its own; processes alternate. The peer counts within its k nearest, here 50; ours is
exact over all of the gallery. The peer drops queries without a match; here every query has one. Where both definitions
agree, so must the numbers: its precision at 1 is our recall@1.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from tests.benchmarks.kernels import best_kernel, spread

SIDES = ("ours", "peer")


def data(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Queries, their items, the gallery, its items: photos scattered round the centre of their item."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((options.items, options.dimension), dtype=np.float32)
    held = np.arange(options.gallery) % options.items
    asked = rng.integers(0, options.items, options.queries)

    def photos(items: np.ndarray) -> np.ndarray:
        x = centres[items]
        x += options.scatter * rng.standard_normal(x.shape, dtype=np.float32)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    return photos(asked), asked, photos(held), held


def ours(queries, asked, gallery, held, precision=None) -> dict:
    import pyarrow as pa

    from fashion.retrieval.metrics import summary
    from fashion.retrieval.rank import rank
    from fashion.retrieval.search.block import Block
    from fashion.retrieval.search.parts import MemoryPart
    from fashion.retrieval.search.queries import Queries

    part = MemoryPart(
        columns=Block(number=0, vectors=gallery, ids=pa.array(np.arange(len(held))), labels=pa.array(held))
    )
    return vars(summary(rank(Queries.of(queries, asked), [part], 0, precision=precision).measures, (1, 10, 50)))


def peer(queries, asked, gallery, held) -> dict:
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    names = ("precision_at_1", "r_precision", "mean_average_precision", "mean_reciprocal_rank")
    calculator = AccuracyCalculator(include=names, k=50)
    return calculator.get_accuracy(*(torch.from_numpy(x) for x in (queries, asked, gallery, held)))


def bare(queries, asked, gallery, held) -> dict:
    import faiss

    index = faiss.IndexFlatIP(gallery.shape[1])
    index.add(gallery)
    index.search(queries, 50)
    return {}


def one_side(options: argparse.Namespace) -> None:
    """Print seconds of each round, the memory beyond the data and imports, and the numbers."""
    import torch  # noqa: F401  where a network is trained it is loaded

    arrays = data(options)
    mine = lambda *given: ours(*given, precision=options.precision)  # noqa: E731
    side = {"ours": mine, "peer": peer, "bare": bare}[options.side]
    side(*(x[:512] for x in arrays))  # imports, and the threads start
    before = _peak()
    seconds = []
    for _ in range(options.rounds):
        began = time.perf_counter()
        found = side(*arrays)
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": seconds, "memory": _peak() - before, "found": found}))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=4000)
    parser.add_argument("--gallery", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument(
        "--scatter", type=float, default=1.5, help="of the photos of an item, in lengths of a centre's entry"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=2, help="of each side's process")
    parser.add_argument("--side", choices=("ours", "peer", "bare"))
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="of the first pass; default: the faster")
    options = parser.parse_args()
    if options.side:
        warnings.simplefilter("ignore")
        one_side(options)
        return
    best_kernel()
    found: dict[str, list[dict]] = {"ours": [], "peer": [], "bare": []}
    for _ in range(options.turns):
        for side in found:
            command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            found[side].append(json.loads(done.stdout))
    flop = 2e-9 * options.queries * options.gallery * options.dimension
    seconds = {side: [s for one in turns for s in one["seconds"]] for side, turns in found.items()}
    turns = {side: [statistics.median(one["seconds"]) for one in turns] for side, turns in found.items()}
    memory = {side: max(one["memory"] for one in turns) for side, turns in found.items()}
    print(
        f"{options.queries:,} queries, {options.gallery:,} x {options.dimension}, {options.items:,} items, "
        f"{os.cpu_count()} cores, medians of {options.rounds * options.turns} (least to greatest)"
    )
    for side, title in {
        "ours": "ours, whole gallery",
        "peer": "AccuracyCalculator, k = 50",
        "bare": "faiss, k = 50",
    }.items():
        print(
            f"{title:>27}: {spread(seconds[side])} s, {flop / statistics.median(seconds[side]):.0f} GFLOP/s, "
            f"{memory[side] / 2**20:,.0f} MiB beyond the data"
        )
    ratios = [theirs / own for theirs, own in zip(turns["peer"], turns["ours"], strict=True)]
    print(f"AccuracyCalculator / ours   {spread(ratios)} by turn (bar 2.5)")
    print(f"our memory / its memory     {memory['ours'] / max(1, memory['peer']):.2f} (bar 0.25)")
    ours_found, theirs = found["ours"][0]["found"], found["peer"][0]["found"]
    print(f"recall@1 {ours_found['recall']['1']:.6f}, precision at 1 {theirs['precision_at_1']:.6f}")
    print(f"mAP {ours_found['map']:.6f} over the whole gallery, {theirs['mean_average_precision']:.6f} within its 50")


if __name__ == "__main__":
    main()

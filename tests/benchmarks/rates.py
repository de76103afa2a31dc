"""The rates of a core that cluster/rates.yaml asks for, measured on your pictures.

    python tests/benchmarks/rates.py [--pictures FOLDER] [--images 400] [--size 256] [--side 224]

Counted in seconds of CPU on one thread, not by the clock, so a busy machine gives the same figures. Pictures are those of
a folder, or of the drawn catalogue. Medians of five rounds. The rates of a GPU: the images/s in the log of jobs/train.py
over the GPUs, and the images over "seconds of the actors: network" that jobs/embed.py prints.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read where NumPy and torch are loaded
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pyarrow as pa
import torch

from fashion.data.decode import decode
from fashion.data.prepare.pack import pack_picture
from fashion.demo.catalogue import write_demo
from fashion.retrieval.rank import rank
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.parts import MemoryPart
from fashion.retrieval.search.queries import Queries
from tests.benchmarks.kernels import best_kernel

ROUNDS, DIMENSION, K = 5, 128, 50
QUERIES, GALLERY = 2_000, 50_000
ANNOTATION = {"box": None, "landmarks": None}


def rate(count: int, work: Callable[[], object]) -> float:
    """Units a second of CPU, after one round to warm up."""
    seconds = []
    for _ in range(ROUNDS + 1):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return count / statistics.median(seconds[1:])


def pictures(folder: Path | None, count: int) -> list[bytes]:
    with tempfile.TemporaryDirectory() as drawn:
        if folder is None:
            folder = Path(drawn)
            write_demo(folder, items=count // 6, seed=0, workers=1)
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))[:count]
        return [file.read_bytes() for file in files]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, help="folder of pictures; default: drawn ones")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--size", type=int, default=256, help="shorter side of packed pictures")
    parser.add_argument("--side", type=int, default=224, help="side that the network sees")
    given = parser.parse_args()
    best_kernel("numpy")
    torch.set_num_threads(1)
    source = pictures(given.pictures, given.images)
    pack = lambda data: pack_picture(data, dict(ANNOTATION), crop=False, size=given.size)["jpeg"]  # noqa: E731
    packed = [pack(data) for data in source]
    random = np.random.default_rng(0)
    z_QD, z_GD = (random.standard_normal((n, DIMENSION)).astype(np.float32) for n in (QUERIES, GALLERY))
    ids = pa.array(np.arange(GALLERY))
    gallery = [MemoryPart(columns=Block(number=0, vectors=z_GD, ids=ids, labels=pa.array(np.full(GALLERY, -1))))]
    queries = Queries.of(z_QD, np.zeros(QUERIES, np.int64))
    figures = {
        "images.source_MB": np.mean([len(data) for data in source]) / 1e6,
        "images.packed_MB": np.mean([len(data) for data in packed]) / 1e6,
        "core.pack": rate(len(source), lambda: [pack(data) for data in source]),
        "core.decode": rate(len(packed), lambda: [decode(data, (given.side, given.side)) for data in packed]),
        "core.scores_M": rate(QUERIES * GALLERY, lambda: rank(queries, gallery, K)) / 1e6,
    }
    print(f"{len(source)} pictures, packed to {given.size} pixels, shown at {given.side}; medians of {ROUNDS} rounds")
    for name, value in figures.items():
        print(f"{name}: {value:.3g}")


if __name__ == "__main__":
    main()

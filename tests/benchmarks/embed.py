"""Embedding a catalogue with jobs/embed.py's pool, against bare decoding plus the bare network in a loop.

    python tests/benchmarks/embed.py [--images 2000] [--size 64] [--network embnet] [--rounds 3]

The sides take turns. Bare decoding runs on as many processes as there are cores and hands nothing over; the bare
network then runs on batches of decoded pictures that are in memory. Their times are added, as both use all cores; with
a GPU they can run beside each other, so the slower of the two is the bar. The pool's rate is taken from its first
finished shard to its last: the start of its processes is not in it.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from cluster.start import ray_cluster
from fashion.data.decode import decode
from fashion.data.prepare.run import prepare
from fashion.data.rows import flatten
from fashion.data.settings import TableSettings
from fashion.data.table import ItemTable
from fashion.demo.catalogue import write_demo
from fashion.networks.files import save_network
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.retrieval.embed import embed
from fashion.retrieval.embedder import Embedder
from fashion.retrieval.settings import EmbedSettings
from fashion.storage import Store
from tests.benchmarks.kernels import spread

BATCH, SHARD, CORES = 256, 256, os.cpu_count() or 2


def pool_rate(table: ItemTable, embedder: Embedder, out: Store) -> float:
    """Images/s of the job's pool between its first finished shard and its last."""
    done = []
    shards = [shard for split in ("train", "val", "test") for shard in table.shards(split)]
    embed(
        table, shards, embedder, out, EmbedSettings(batch=BATCH),
        progress=lambda images, _: done.append((time.perf_counter(), images)),
    )  # fmt: skip
    (began, first), (ended, last) = done[1], done[-1]
    return (last - first) / (ended - began)


def decode_seconds(jpegs: list[bytes], size: int) -> float:
    """Of decoding all, on all cores."""
    parts = [jpegs[i::CORES] for i in range(CORES)]
    with ProcessPoolExecutor(CORES) as processes:
        list(processes.map(_decode, [part[:8] for part in parts], [size] * CORES))
        began = time.perf_counter()
        list(processes.map(_decode, parts, [size] * CORES))
        return time.perf_counter() - began


def _decode(jpegs: list[bytes], size: int) -> None:
    torch.set_num_threads(1)
    for jpeg in jpegs:
        decode(jpeg, size=(size, size))


def network_seconds(embedder: Embedder, images: torch.Tensor) -> float:
    """Of embedding all the decoded pictures."""
    networks = embedder.load(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    networks(images[:BATCH], ["shop"] * len(images[:BATCH]))
    began = time.perf_counter()
    for batch in images.split(BATCH):
        networks(batch, ["shop"] * len(batch))
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="pictures, about")
    parser.add_argument("--size", type=int, default=64, help="side of the network's input")
    parser.add_argument("--network", default="embnet")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ray_cluster():
        root = Path(folder)
        write_demo(root / "catalogue", items=round(options.images / 4.4))
        settings = TableSettings(shard_images=SHARD)
        table = prepare(Store(root / "catalogue"), Store(root / "table"), settings, warn=print, progress=_silent)
        network = build_network(NetworkSettings(name=options.network, size=options.size), seed=0)
        digest = save_network(Store(root), "network.safetensors", network)
        embedder = Embedder(
            folder=Store(root), file="network.safetensors", fingerprint=digest, size=options.size, crop="whole",
            transform=network.settings.transform, batch=BATCH,
        )  # fmt: skip
        jpegs = [
            jpeg
            for split in ("train", "val", "test")
            for shard in table.shards(split)
            for jpeg in flatten(table.read(shard.name))["jpeg"].to_pylist()
        ]
        images = torch.from_numpy(np.stack([decode(jpeg, size=(options.size, options.size)) for jpeg in jpegs]))
        rates: dict[str, list[float]] = {"pool": [], "bare decoding": [], "bare network": [], "bare": []}
        for number in range(options.rounds):
            rates["pool"].append(pool_rate(table, embedder, Store(root / f"out{number}")))
            decoding, network_s = decode_seconds(jpegs, options.size), network_seconds(embedder, images)
            together = max(decoding, network_s) if torch.cuda.is_available() else decoding + network_s
            for name, seconds in (("bare decoding", decoding), ("bare network", network_s), ("bare", together)):
                rates[name].append(len(jpegs) / seconds)
    median = {name: statistics.median(values) for name, values in rates.items()}
    print(
        f"{len(jpegs)} pictures, {options.network} at {options.size} pixels, {CORES} cores, {options.rounds} rounds, "
        "medians"
    )
    for name, rate in median.items():
        print(f"{name:>14}: {rate:8,.0f} images/s")
    ratios = [pool / bare for pool, bare in zip(rates["pool"], rates["bare"], strict=True)]
    print(f"pool / bare {spread(ratios)} (bar 0.9)")


def _silent(*_) -> None:
    pass


if __name__ == "__main__":
    main()

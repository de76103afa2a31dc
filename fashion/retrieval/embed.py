"""Embed the item table: a pool of actors, each with the network, one shard at a time, resumable by shard."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import ray.data
import torch
from ray.data import ActorPoolStrategy

from fashion.data.decode import decode
from fashion.data.schema import DOMAINS
from fashion.data.table import ItemTable, ShardInfo, flatten
from fashion.networks.files import load_network
from fashion.networks.model import EmbeddingNetwork, build_network
from fashion.networks.normalise import normalise
from fashion.provenance import now, versions
from fashion.retrieval.baselines import colour_histogram
from fashion.retrieval.embeddings import COLUMNS, EMBEDDING, HISTOGRAM, MANIFEST, UNTRAINED, claim, to_table
from fashion.storage import Store


@dataclass(frozen=True, kw_only=True)
class Embedder:
    """What turns pictures into vectors: the network's file, and how pictures are shown to it."""

    folder: Store
    file: str
    fingerprint: str
    crop: str  # whole or box
    baselines: bool  # also the untrained network's vectors and colour histograms
    batch: int = 256

    def identity(self, table: ItemTable) -> dict:
        """What the embeddings depend on; shards of another identity are never mixed with these."""
        return {
            "network": self.fingerprint,
            "data": table.fingerprint,
            "crop": self.crop,
            "baselines": self.baselines,
        }


@dataclass(frozen=True, kw_only=True)
class EmbedResources:
    """The actors that embed, decided from the cluster."""

    actors: int
    cpus: float  # logical CPUs an actor
    gpu: bool
    threads: int  # CPU threads an actor


def decide_embed_resources(*, cpus: float, gpus: float, cores: int) -> EmbedResources:
    """An actor for each GPU, or one for each machine's worth of CPUs."""
    if gpus >= 1:
        actors = int(gpus)
        return EmbedResources(
            actors=actors, cpus=max(1.0, cpus // actors // 2), gpu=True, threads=max(1, int(cpus // actors))
        )
    actors = max(1, int(cpus // max(cores, 4)))
    return EmbedResources(actors=actors, cpus=1.0, gpu=False, threads=cores)


def embed(
    table: ItemTable,
    shards: list[ShardInfo],
    embedder: Embedder,
    out: Store,
    resources: EmbedResources,
    *,
    progress: Callable[[int, int], None],
) -> dict:
    """Embed every image of the shards into `out`; returns the manifest. Needs a running Ray.

    Shards with stats are skipped. `progress(images done, images in all)`. Raises InputError where `out` holds
    embeddings of another network, data or transform.
    """
    identity = embedder.identity(table)
    claim(out, identity)
    total, done = sum(shard.images for shard in shards), 0
    left = []
    for shard in shards:
        if out.exists(f"{shard.name}.json"):
            done += shard.images
        else:
            left.append({"name": shard.name, "groups": len(shard.groups)})
    progress(done, total)
    if left:
        dataset = ray.data.from_items(left, override_num_blocks=len(left)).map_batches(
            _Embed,
            fn_constructor_args=(table, embedder, out, resources),
            batch_size=1,
            compute=ActorPoolStrategy(size=min(resources.actors, len(left))),
            num_cpus=resources.cpus,
            num_gpus=1 if resources.gpu else 0,
        )
        for row in dataset.iter_rows():
            done += json.loads(row["stats"])["images"]
            progress(done, total)
    stats = [out.read_json(f"{shard.name}.json") for shard in shards]
    manifest = {
        "kind": "embeddings",
        **identity,
        "shards": stats,
        "images": sum(row["images"] for row in stats),
        "versions": versions(),
        "created": now(),
    }
    out.write_json(MANIFEST, manifest)
    return manifest


class _Embed:
    """Shard name -> stats, once the shard's embeddings are written; keeps the network between shards."""

    def __init__(self, table: ItemTable, embedder: Embedder, out: Store, resources: EmbedResources):
        self.table, self.embedder, self.out, self.threads = table, embedder, out, resources.threads
        torch.set_num_threads(resources.threads)
        self.device = torch.device("cuda" if resources.gpu else "cpu")
        network, about = load_network(embedder.folder, embedder.file)
        self.size = network.settings.size
        self.networks = {EMBEDDING: self._ready(network)}
        if embedder.baselines:
            self.networks[UNTRAINED] = self._ready(build_network(network.settings, seed=about["seed"]))

    def _ready(self, network: EmbeddingNetwork) -> EmbeddingNetwork:
        return network.eval().to(self.device, memory_format=torch.channels_last)

    def __call__(self, rows: dict[str, np.ndarray]) -> dict:
        pairs = zip(rows["name"].tolist(), rows["groups"].tolist(), strict=True)
        return {"stats": [json.dumps(self.shard(name, groups)) for name, groups in pairs]}

    def shard(self, name: str, groups: int) -> dict:
        about, vectors = [], []
        for part, images in self._decoded(name, groups):
            about.append(part)
            vectors.append(self._vectors(images, part["domain"].to_pylist()))
        joined = {key: np.concatenate([v[key] for v in vectors]) for key in vectors[0]}
        table = to_table(pa.concat_tables(about), joined)
        self.out.write_table(f"{name}.parquet", table, compression="zstd")
        stats = {"name": name, "images": table.num_rows, "dimension": joined[EMBEDDING].shape[1]}
        self.out.write_json(f"{name}.json", stats)
        return stats

    def _decoded(self, name: str, groups: int) -> Iterator[tuple[pa.Table, torch.Tensor]]:
        """Batches of rows and their pictures; the next batch is decoded while this one is embedded."""
        with ThreadPoolExecutor(self.threads) as pool:
            waiting: list[tuple[pa.Table, list[Future]]] = []
            for part, pictures in self._rows(name, groups):
                waiting.append((part, [pool.submit(self._decode, *picture) for picture in pictures]))
                if len(waiting) > 1:
                    yield _stacked(*waiting.pop(0))
            for entry in waiting:
                yield _stacked(*entry)

    def _rows(self, name: str, groups: int) -> Iterator[tuple[pa.Table, list[tuple[bytes, list | None]]]]:
        for group in range(groups):
            rows = flatten(self.table.read(name, group))
            about = rows.select(COLUMNS)
            about = about.append_column("shard", pa.array([name] * len(rows)).dictionary_encode())
            about = about.append_column("group", pa.array([group] * len(rows), pa.int32()))
            for start in range(0, len(rows), self.embedder.batch):
                part = rows.slice(start, self.embedder.batch)
                pictures = list(zip(part["jpeg"].to_pylist(), part["box"].to_pylist(), strict=True))
                yield about.slice(start, self.embedder.batch), pictures

    def _decode(self, jpeg: bytes, box: list | None) -> np.ndarray:
        return decode(jpeg, size=(self.size, self.size), box=box if self.embedder.crop == "box" else None)

    def _vectors(self, images: torch.Tensor, domains: list[str]) -> dict[str, np.ndarray]:
        images = images.to(self.device)
        coded = torch.tensor([DOMAINS.index(domain) for domain in domains], device=self.device)
        with torch.inference_mode():
            x = normalise(images).contiguous(memory_format=torch.channels_last)
            found = {name: network(x, coded) for name, network in self.networks.items()}
            if self.embedder.baselines:
                found[HISTOGRAM] = colour_histogram(images)
        return {name: z.float().cpu().numpy() for name, z in found.items()}


def _stacked(part: pa.Table, decoded: list[Future]) -> tuple[pa.Table, torch.Tensor]:
    return part, torch.from_numpy(np.stack([future.result() for future in decoded]))

"""Embed the item table: a fixed pool of actors, each with the network, one shard at a time, resumable by shard."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import ray
import ray.data
import torch
from ray.data import ActorPoolStrategy, DataContext

from fashion.capacity import machines
from fashion.data.table import ItemTable, ShardInfo
from fashion.json_values import to_plain
from fashion.ray_seam.short import ShortOfMemory, add_callbacks
from fashion.retrieval.carry import Earlier
from fashion.retrieval.embed_shard import ShardEmbedder
from fashion.retrieval.embedder import Embedder
from fashion.retrieval.embeddings import (
    Catalogue,
    CatalogueManifest,
    ShardStats,
    check_comparable,
    claim,
    stats_file,
    write_manifest,
)
from fashion.retrieval.settings import EmbedSettings
from fashion.storage import READERS, Store


@dataclass(frozen=True, kw_only=True)
class EmbedResources:
    """The actors that embed, decided from the cluster."""

    actors: int
    cpus: float  # logical CPUs an actor reserves
    gpus: float  # GPUs an actor reserves: 0, or a share of one
    threads: int  # that decode, an actor; the CPU's networks use as many


def decide_embed_resources(nodes: list[tuple[float, float]], settings: EmbedSettings) -> EmbedResources:
    """An actor a GPU, or one a machine where there is no GPU; with `settings.actors` as many as it says."""
    gpus = int(sum(gpus for _, gpus in nodes))
    if gpus:
        actors = settings.actors or gpus
        each = -(-actors // gpus)  # actors that share a GPU
        cpus = min(cpus / gpus for cpus, gpus in nodes if gpus >= 1) / each
        return EmbedResources(
            actors=actors, cpus=max(1.0, cpus // 2), gpus=1 / each, threads=settings.threads or max(1, int(cpus))
        )
    cpus_of_nodes = [cpus for cpus, _ in nodes if cpus >= 1] or [1.0]
    if settings.actors:
        share = sum(cpus_of_nodes) / settings.actors
        cpus = max(1.0, share // 2)
    else:
        share = min(cpus_of_nodes)
        cpus = share // 2 + 1 if share > 1 else 1.0  # more than half, so that no machine gets two
    return EmbedResources(
        actors=settings.actors or len(cpus_of_nodes),
        cpus=cpus,
        gpus=0.0,
        threads=settings.threads or max(1, int(share)),
    )


def unfinished(out: Store, shards: list[ShardInfo]) -> list[ShardInfo]:
    """The shards of which `out` has not both embeddings and stats: somebody may have deleted what was damaged."""
    names = set(out.names(recursive=True))
    return [shard for shard in shards if not {stats_file(shard.name), f"{shard.name}.parquet"} <= names]


def embed(
    table: ItemTable,
    shards: list[ShardInfo],
    embedder: Embedder,
    out: Store,
    settings: EmbedSettings,
    *,
    progress: Callable[[int, int], None],
    since: Catalogue | None = None,
) -> CatalogueManifest:
    """Embed every image of the shards into `out`; returns the manifest, which also lists what was finished before.
    Needs a running Ray where a shard is `unfinished`.

    Shards with stats are skipped. With `since`, a picture that the earlier catalogue has, unchanged, is not embedded
    again: its vector is copied. `progress(images done, images in all)`. Raises InputError where `out` or `since` hold
    embeddings of another network or transform, and `out` of other data, RunLost where no machine has the memory.
    """
    identity = embedder.identity(table.fingerprint)
    if since:
        check_comparable(since, identity)
    claim(out, identity)
    total = sum(shard.images for shard in shards)
    left = unfinished(out, shards)
    done = total - sum(shard.images for shard in left)
    progress(done, total)
    if left:
        resources = decide_embed_resources(machines(), settings)
        rows = [{"shard": i} for i in range(len(left))]
        add_callbacks(DataContext.get_current(), ShortOfMemory)
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Embed,
            fn_constructor_args=(table, left, embedder, out, resources, since),
            batch_size=1,
            compute=ActorPoolStrategy(size=min(resources.actors, len(left))),
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
        )
        for row in dataset.iter_rows():
            stats = json.loads(row["stats"])
            done += stats["images"] + stats["unreadable"]
            progress(done, total)
    with ThreadPoolExecutor(READERS) as pool:
        stats = list(pool.map(lambda shard: out.read_value(stats_file(shard.name), ShardStats), shards))
    return write_manifest(out, identity, stats, data_uri=table.store.uri)


class _Embed:
    """Number of a shard -> its stats, once its embeddings are written."""

    def __init__(
        self,
        table: ItemTable,
        shards: list[ShardInfo],
        embedder: Embedder,
        out: Store,
        resources: EmbedResources,
        since: Catalogue | None,
    ):
        self.shards = shards
        threads = min(resources.threads, os.cpu_count() or 1)  # on a laptop Ray counts more CPUs than there are
        torch.set_num_threads(threads)
        self.embedder = ShardEmbedder(
            table,
            embedder,
            out,
            device=torch.device("cuda" if resources.gpus else "cpu"),
            threads=threads,
            earlier=Earlier(since.store, [shard.name for shard in since.manifest.shards]) if since else None,
        )

    def __call__(self, rows: dict[str, np.ndarray]) -> dict:
        return {"stats": [json.dumps(to_plain(self.embedder.embed(self.shards[i]))) for i in rows["shard"].tolist()]}

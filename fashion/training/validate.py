"""Validation: embed the validation split, shared out over the workers, and rank it like a test."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import torch

from fashion.data.decode import decode
from fashion.data.schema import DOMAINS
from fashion.data.table import ItemTable, flatten
from fashion.networks.model import EmbeddingNetwork
from fashion.networks.normalise import normalise
from fashion.retrieval.metrics import summary
from fashion.retrieval.rank import rank
from fashion.retrieval.search.block import Block, Held
from fashion.retrieval.search.relevance import Queries
from fashion.training.distributed import gather_rows, world
from fashion.training.distributed import rank as worker_rank

BATCH = 256
KS = (1, 5, 10, 20)
QUERY = 0
GALLERY = 1


class Validation:
    """The validation images of this worker: every W-th row group of the split's first `items` items."""

    def __init__(
        self,
        table: ItemTable,
        *,
        items: int,
        size: int,
        crop: str,
        threads: int,
        ks: tuple[int, ...] = KS,
        split: str = "val",
    ):
        self.table, self.size, self.crop, self.threads, self.ks = table, size, crop, threads, ks
        groups, count = [], 0
        for shard in table.shards(split):
            for index, held in enumerate(shard.groups):
                if count < items:
                    groups.append((shard.name, index, count, min(held, items - count)))
                count += held
        self.groups = groups[worker_rank() :: world()]

    def measure(self, network: EmbeddingNetwork, *, autocast: bool) -> dict:
        """`recall` (k as text -> fraction), `map`, `mrr` of queries against gallery; the same on every worker."""
        network.eval()
        device = next(network.parameters()).device
        z, about = [torch.empty(0, network.settings.dimension)], [torch.empty(0, 2, dtype=torch.int64)]
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            for images, domains, rows in self._batches():
                x = normalise(images.to(device)).contiguous(memory_format=torch.channels_last)
                z.append(network(x, domains.to(device)).cpu())
                about.append(rows)
        network.train()
        z_ND = gather_rows(torch.cat(z).to(device)).cpu().numpy()
        label, role = gather_rows(torch.cat(about).to(device)).cpu().numpy().T
        queries, gallery = role == QUERY, role == GALLERY
        asked = Queries.of(z_ND[queries], label[queries])
        labels = pa.array(label[gallery])
        held = Held(block=Block(number=0, vectors=z_ND[gallery], ids=pa.array(np.arange(len(labels))), labels=labels))
        return summary(rank(asked, [held], k=0).measures, self.ks)

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """uint8 pictures (n, 3, S, S), their domains (n,), their labels and roles (n, 2)."""
        categories = {name: i for i, name in enumerate(self.table.categories)}
        with ThreadPoolExecutor(self.threads) as pool:
            for shard, index, start, count in self.groups:
                items = self.table.read(shard, index).slice(0, count)
                # Items are told apart by their place, which is the same on every worker.
                place = {item: start + i for i, item in enumerate(items["item"].to_pylist())}
                rows = [row for row in flatten(items).to_pylist() if row["role"]]
                for i in range(0, len(rows), BATCH):
                    part = rows[i : i + BATCH]
                    images = torch.from_numpy(np.stack(list(pool.map(self._decode, part))))
                    domains = torch.tensor([DOMAINS.index(row["domain"]) for row in part])
                    by_item = self.table.positives == "item"
                    labels = [place[row["item"]] if by_item else categories[row["category"]] for row in part]
                    if by_item:
                        roles = [QUERY if row["role"] == "query" else GALLERY for row in part]
                    else:  # the category benchmark has no gallery in its validation split: every second image is one
                        roles = [(start + i + j) % 2 for j in range(len(part))]
                    yield images, domains, torch.tensor([labels, roles]).T

    def _decode(self, row: dict) -> np.ndarray:
        box = row["box"] if self.crop == "box" else None
        return decode(row["jpeg"], size=(self.size, self.size), box=box)

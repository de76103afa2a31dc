"""Validation: embed the validation split, shared out over the workers, and rank it like a test; and compare what the
network predicts with what is annotated, where it predicts labels."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import torch

from fashion.data.decode import decode
from fashion.data.rows import flatten
from fashion.data.table import ItemTable
from fashion.domain import DOMAINS
from fashion.networks.fashionnet import FashionNet
from fashion.networks.model import Network
from fashion.networks.transform import USUAL, Transform
from fashion.retrieval.metrics import summary
from fashion.retrieval.rank import rank
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.parts import MemoryPart
from fashion.retrieval.search.queries import Queries
from fashion.training.distributed import gather_rows, world
from fashion.training.distributed import rank as worker_rank
from fashion.training.validate_labels import LabelTally

BATCH = 256
KS = (1, 5, 10, 20)
QUERY = 0
GALLERY = 1


class Validation:
    """The validation images of this worker: every W-th row group of the split's first `items` items; of the `labelled`
    tables, which have a part in nothing but labels, likewise, where they have such a split."""

    def __init__(
        self,
        table: ItemTable,
        *,
        items: int,
        size: int,
        crop: str,
        transform: Transform = USUAL,
        threads: int,
        ks: tuple[int, ...] = KS,
        split: str = "val",
        labelled: tuple[ItemTable, ...] = (),
    ):
        self.table, self.size, self.crop, self.threads, self.ks = table, size, crop, threads, ks
        self.transform = transform
        self.groups = _share(table, split, items)
        self.labelled = [
            (other, group) for other in labelled if split in other.splits for group in _share(other, split, items)
        ]

    def measure(self, network: Network, *, autocast: bool) -> dict:
        """`recall` (k as text -> fraction), `map`, `mrr` of `queries` against gallery, and where the network predicts
        labels those of `LabelTally.means`; the same on every worker."""
        network.eval()
        device = next(network.parameters()).device
        tally = LabelTally(network.vocabulary, self.crop) if network.vocabulary else None
        z, identities = [torch.empty(0, network.settings.dimension)], [torch.empty(0, 2, dtype=torch.int64)]

        def look(rows: list[dict], images: torch.Tensor) -> torch.Tensor:
            x = images.to(device).contiguous(memory_format=torch.channels_last)
            domains = torch.tensor([DOMAINS.index(row["domain"]) for row in rows], device=device)
            if tally is None or not isinstance(network, FashionNet):
                return network(x, domains).cpu()
            outputs = network.outputs(x, domains)
            tally.add(outputs, rows)
            return outputs.z_ND.cpu()

        with (
            ThreadPoolExecutor(self.threads, "decode") as pool,
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=autocast),
        ):
            for group in self.groups:
                for rows, identity in self._rows(*group):
                    z.append(look(rows, self._images(rows, pool)))
                    identities.append(identity)
            for table, (shard, index, _, count) in self.labelled if tally else ():
                for rows in _cut(flatten(table.read(shard, index).slice(0, count)).to_pylist()):
                    look(rows, self._images(rows, pool))
        network.train()
        z_ND = gather_rows(torch.cat(z).to(device)).cpu().numpy()
        label, role = gather_rows(torch.cat(identities).to(device)).cpu().numpy().T
        queries, gallery = role == QUERY, role == GALLERY
        asked = Queries.of(z_ND[queries], label[queries])
        labels = pa.array(label[gallery])
        part = MemoryPart(
            columns=Block(number=0, vectors=z_ND[gallery], ids=pa.array(np.arange(len(labels))), labels=labels)
        )
        measured = vars(summary(rank(asked, [part], k=0).measures, self.ks)) | {"queries": int(queries.sum())}
        return measured | (tally.means(device) if tally else {})

    def _rows(self, shard: str, index: int, start: int, count: int) -> Iterator[tuple[list[dict], torch.Tensor]]:
        """The images of a row group that have a role, and their labels and roles (n, 2)."""
        categories = {name: i for i, name in enumerate(self.table.categories)}
        by_item = self.table.positives == "item"
        items = self.table.read(shard, index).slice(0, count)
        # Items are told apart by their place, which is the same on every worker.
        place = {item: start + i for i, item in enumerate(items["item"].to_pylist())}
        rows = [row for row in flatten(items).to_pylist() if row["role"]]
        for i, part in zip(range(0, len(rows), BATCH), _cut(rows), strict=True):
            labels = [place[row["item"]] if by_item else categories[row["category"]] for row in part]
            if by_item:
                roles = [QUERY if row["role"] == "query" else GALLERY for row in part]
            else:  # the category benchmark has no gallery in its validation split: every second image is one
                roles = [(start + i + j) % 2 for j in range(len(part))]
            yield part, torch.tensor([labels, roles]).T

    def _images(self, rows: list[dict], pool: ThreadPoolExecutor) -> torch.Tensor:
        """uint8 pictures (n, 3, S, S)."""
        return torch.from_numpy(np.stack(list(pool.map(self._decode, rows))))

    def _decode(self, row: dict) -> np.ndarray:
        box = row["box"] if self.crop == "box" else None
        t = self.transform
        return decode(row["jpeg"], size=(self.size, self.size), box=box, fit=t.fit, interpolation=t.interpolation)


def _share(table: ItemTable, split: str, items: int) -> list[tuple[str, int, int, int]]:
    """This worker's row groups of the split's first `items` items: shard, number, items before it, items used of it."""
    groups, count = [], 0
    for shard in table.shards(split):
        for index, in_group in enumerate(shard.groups):
            if count < items:
                groups.append((shard.name, index, count, min(in_group, items - count)))
            count += in_group
    return groups[worker_rank() :: world()]


def _cut(rows: list[dict]) -> Iterator[list[dict]]:
    for i in range(0, len(rows), BATCH):
        yield rows[i : i + BATCH]

"""Hard batches' neighbours, found by the workers between two epochs: embed the training items, shared out, and compare
each with all."""

import csv
import io
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import TypeVar

import numpy as np
import torch

from fashion.data.group import Group
from fashion.data.hard_plan import HardPlan
from fashion.data.neighbours import DUPLICATES, Neighbours, file_of, write_neighbours
from fashion.data.rows import ItemGroup, read_columns
from fashion.data.table import ItemTable
from fashion.data.views import choose_views
from fashion.domain import DOMAINS
from fashion.networks.files import fingerprint
from fashion.networks.model import Network
from fashion.text import cell
from fashion.training.distributed import gather_rows, rank, world
from fashion.training.nearest import Nearest, block_rows, most_alike, nearest

Made = TypeVar("Made")


class Miner:
    """Finds neighbours of the plan's items with a network, and writes them to the run's folder."""

    def __init__(self, table: ItemTable, plan: HardPlan, *, domains: str, size: int, crop: str, threads: int):
        """`domains`: of photos that are compared, as the loss has it. `size`: side of the pictures, pixels."""
        self.table, self.plan, self.domains = table, plan, domains
        self.size, self.crop, self.threads = size, crop, threads

    def due(self, epoch: int) -> bool:
        """Whether neighbours are to be found before this epoch."""
        return self.plan.mining.of(epoch) == epoch

    def lacking(self, epoch: int) -> bool:
        """Whether the epoch has hard batches, and their neighbours are not there."""
        mined_at = self.plan.mining.of(epoch)
        return mined_at is not None and not self.plan.run.exists(file_of(mined_at))

    def refresh(self, network: Network, epoch: int, *, autocast: bool) -> dict:
        """Find them for the batches of `epoch`; called by every worker. Returns `mining_s` (seconds), `near` (mean
        similarity of an item and its nearest) and `near_duplicates` (pairs)."""
        began = time.perf_counter()
        m, device = self.plan.mining, next(network.parameters()).device
        z_NVD, domain_NV = self._embedded(network, epoch, autocast)
        part = nearest(
            z_NVD, domain_NV, _share(*domain_NV.shape), domains=self.domains, first=m.first_rank, last=m.last_rank,
            duplicate=m.duplicate,
        )  # fmt: skip
        whole = _gathered(part, device)
        if rank() == 0:
            origin = {"network": fingerprint(network), "data": self.plan.data, "epoch": epoch}
            neighbours = Neighbours(
                nearest_NK=whole.labels_nK.to(torch.int32).numpy(),
                similarity_NK=whole.similarity_nK.float().numpy(),
                origin=origin,
            )
            self._list(whole)
            first_epoch = m.of(epoch)
            assert first_epoch is not None  # one with hard batches
            write_neighbours(self.plan.run, first_epoch, neighbours)  # last: it is waited for
        first = whole.similarity_nK[:, 0]
        near = float(first[first.isfinite()].mean()) if bool(first.isfinite().any()) else None
        return {"mining_s": time.perf_counter() - began, "near": near, "near_duplicates": whole.duplicates}

    def _embedded(self, network: Network, epoch: int, autocast: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, V, D) and (N, V): embeddings and domains of V photos of every item, on every worker."""
        training, device = network.training, next(network.parameters()).device
        network.eval()
        V, own = 2 * self.plan.mining.photos, self.plan.groups[rank() :: world()]
        labels, z, domains = [], [], []
        with (
            ThreadPoolExecutor(self.threads, "decode") as pool,
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=autocast),
        ):
            for label, domain, pixels in _ahead(self._pictures(own, network, pool, epoch, V)):
                x = torch.from_numpy(pixels).to(device).contiguous(memory_format=torch.channels_last)
                domain_nV = torch.from_numpy(domain)
                z.append(network(x, domain_nV.flatten().to(device)).float().cpu().unflatten(0, (-1, V)))
                labels.append(torch.from_numpy(label))
                domains.append(domain_nV)
        network.train(training)
        none = torch.empty(0, dtype=torch.int64)  # a worker may have no row group
        label_N = gather_rows(torch.cat([none, *labels]).to(device))
        z_NVD = gather_rows(torch.cat([torch.empty(0, V, network.settings.dimension), *z]).to(device))
        domain_NV = gather_rows(torch.cat([none.reshape(0, V), *domains]).to(device))
        order = label_N.argsort()
        return z_NVD[order], domain_NV[order]

    def _pictures(
        self, groups: Sequence[Group], network: Network, pool: ThreadPoolExecutor, epoch: int, V: int
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """Of each of these row groups: labels (n,), domains (n, V), pictures (n * V, 3, S, S) uint8."""
        t = network.settings.transform
        columns = read_columns(["domain", *(["box"] if self.crop == "box" else [])])
        for planned in groups:
            group = ItemGroup(self.table.read(planned.shard, planned.index, columns))
            chosen = _chosen(group, V, seed=self.plan.seed, epoch=epoch)

            def pixels(picture: int, group: ItemGroup = group) -> np.ndarray:
                return group.pixels(picture, self.size, self.crop, fit=t.fit, interpolation=t.interpolation)

            pictures = np.stack(list(pool.map(pixels, chosen.ravel().tolist())))
            domains = np.array([DOMAINS.index(name) for name in group.columns["domain"]])
            yield planned.start + np.arange(planned.items), domains[chosen], pictures

    def _list(self, pairs: Nearest) -> None:
        """The near-duplicates, for whoever keeps the catalogue."""
        names = self._names(pairs.pairs_M2.unique().tolist())
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["item", "other", "similarity"])
        for (a, b), alike in zip(pairs.pairs_M2.tolist(), pairs.alike_M.tolist(), strict=True):
            rows.writerow([cell(names[a]), cell(names[b]), f"{alike:.5f}"])
        self.plan.run.write(DUPLICATES, text.getvalue().encode())

    def _names(self, labels: list[int]) -> dict[int, str]:
        """Label -> id of the item."""
        names: dict[int, str] = {}
        for number, of_group in groupby(sorted(labels), key=lambda label: int(self.plan.groups_of(label))):
            planned = self.plan.groups[number]
            items = self.table.read(planned.shard, planned.index, ["item"])["item"].to_pylist()
            names |= {label: items[label - planned.start] for label in of_group}
        return names


def _ahead(made: Iterator[Made]) -> Iterator[Made]:
    """The same, each of which is made while the one before is used."""
    with ThreadPoolExecutor(1, "read") as pool:
        coming = pool.submit(next, made, None)
        while (one := coming.result()) is not None:
            coming = pool.submit(next, made, None)
            yield one


def _chosen(group: ItemGroup, V: int, *, seed: int, epoch: int) -> np.ndarray:
    """(n, V) pictures of the group by which each of its items is compared, domain by domain."""
    return np.array(
        [
            [group.start[row] + i for i in choose_views(group.of("domain", row), V, seed=seed, epoch=epoch, item=item)]
            for row, item in enumerate(group.items)
        ]
    )


def _share(N: int, V: int) -> range:
    """This worker's part of N items: whole blocks."""
    rows = block_rows(N, V)
    blocks = -(-N // rows)
    ends = (min(N, blocks * r // world() * rows) for r in (rank(), rank() + 1))
    return range(*ends)


def _gathered(part: Nearest, device: torch.device) -> Nearest:
    """The parts of all workers, in their order."""

    def rows(x: torch.Tensor) -> torch.Tensor:
        return gather_rows(x.to(device)).cpu()

    pairs_M2, alike_M = most_alike(rows(part.pairs_M2), rows(part.alike_M))
    return Nearest(
        labels_nK=rows(part.labels_nK),
        similarity_nK=rows(part.similarity_nK),
        duplicates=int(rows(torch.tensor([part.duplicates])).sum()),
        pairs_M2=pairs_M2,
        alike_M=alike_M,
    )

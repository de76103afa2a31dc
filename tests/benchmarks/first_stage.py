"""The first stage, for second_opinion.py: embeddings and local features of all pictures of a table, and its lists."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from fashion.data.table import ItemTable
from fashion.networks.heads import to_sphere
from fashion.networks.model import EmbeddingNetwork
from fashion.retrieval.embedder import Embedder
from fashion.retrieval.metrics import Measures
from fashion.retrieval.rank import rank
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.parts import MemoryPart
from fashion.retrieval.search.queries import Queries
from fashion.training.augment import augment, draw
from fashion.training.recipe import AugmentationSettings
from tests.benchmarks.pair_models import PairModel


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """N pictures in V copies, of which the first is plain."""

    items: np.ndarray  # (N,)
    splits: np.ndarray  # (N,)
    roles: np.ndarray  # (N,) query or gallery; "" for both
    z_VND: torch.Tensor
    maps: list[torch.Tensor]  # (V, N, C, H, W) float16, the last one first

    def rows(self, role: str, *splits: str) -> np.ndarray:
        return np.flatnonzero(np.isin(self.splits, splits) & np.isin(self.roles, (role, "")))

    def kept(self, model: PairModel, copy: int, rows: torch.Tensor) -> list[torch.Tensor]:
        """What the model keeps of these pictures: of rows of any shape (..., then its own)."""
        flat = rows.flatten()
        kept = model.kept(self.z_VND[copy, flat], [x[copy, flat].float() for x in self.maps])
        return [x.unflatten(0, rows.shape) for x in kept]


def look(network: EmbeddingNetwork, embedder: Embedder, table: ItemTable, copies: int, seed: int) -> Pictures:
    rows = [
        row | {"split": split}
        for split in ("train", "val", "test")
        for shard in table.shards(split)
        for row in table.image_rows(shard.name, ["role", "box", "jpeg"]).to_pylist()
    ]
    generator = torch.Generator().manual_seed(seed)
    seen: list[list[list[torch.Tensor]]] = [[] for _ in range(copies)]
    with torch.inference_mode():
        for batch in (rows[start : start + 64] for start in range(0, len(rows), 64)):
            x = torch.from_numpy(np.stack([embedder.decode(row["jpeg"], row["box"]) for row in batch]))
            plain, training = _look(network, x), batch[0]["split"] == "train"
            for copy, parts in enumerate(seen):
                varied = augment(x, draw(len(x), AugmentationSettings(), generator)) if copy and training else None
                parts.append(plain if varied is None else _look(network, varied))
    kinds = range(len(seen[0][0]))
    z_VND, *maps = (torch.stack([torch.cat([part[kind] for part in parts]) for parts in seen]) for kind in kinds)
    splits = np.array([row["split"] for row in rows])
    for x_VNCHW in maps:  # so that channels count alike
        deviation, mean = torch.std_mean(x_VNCHW[0, splits == "train"].float(), (0, 2, 3), keepdim=True)
        for x_NCHW in x_VNCHW:
            x_NCHW.copy_((x_NCHW.float() - mean) / (deviation + 1e-6))
    items, roles = (np.array([row[name] or "" for row in rows]) for name in ("item", "role"))
    return Pictures(items=items, splits=splits, roles=roles, z_VND=z_VND, maps=maps)


def _look(network: EmbeddingNetwork, x: torch.Tensor) -> list[torch.Tensor]:
    """z (N, D), the last map (N, D, H, W) through the head, and the one before that halving (N, C, 2H, 2W)."""
    *stages, last = (stage for (stage,) in network.depths())
    head = network.branches[0][-1]
    x = network.normalise(x.contiguous(memory_format=torch.channels_last))
    for stage in stages:
        x = stage(x)
    early = late = x
    for step in last.children():
        x = step(x)
        late = x if x.ndim == 4 and x.shape[2] > 1 else late
    if head.dense.in_features == late.shape[1]:  # it averages and then projects, which may change places
        late = head(late.movedim(1, 3).flatten(0, 2)).unflatten(0, (len(x), *late.shape[2:])).movedim(3, 1)
    return [to_sphere(head(x))[0], late.half(), early.half()]


@dataclass(frozen=True, kw_only=True)
class Lists:
    """The first stage's, best first."""

    copy: int
    queries: torch.Tensor  # (Q,) rows of the pictures
    order: torch.Tensor  # (Q, G) rows
    cosines: torch.Tensor  # (Q, G)
    match: torch.Tensor  # (Q, G)

    def measured(self, opinions_Qk: torch.Tensor | None = None, share: float = 0.0) -> Measures:
        match = self.match
        if opinions_Qk is not None:
            k = opinions_Qk.shape[1]
            order = (self.cosines[:, :k] + share * opinions_Qk).argsort(dim=1, descending=True, stable=True)
            match = torch.cat([match[:, :k].gather(1, order), match[:, k:]], 1)
        query, place = match.numpy().nonzero()
        return Measures.of(place + 1, np.searchsorted(query, np.arange(len(match) + 1)))


def lists(pictures: Pictures, split: str, *others: str, copy: int = 0, listed: int | None = None) -> Lists:
    """Of the split's queries, in its gallery and that of others; a picture is not in its own list."""
    queries, gallery = pictures.rows("query", split), pictures.rows("gallery", split, *others)
    z_ND, labels = pictures.z_VND[copy].numpy(), pa.array(pictures.items)
    part = MemoryPart(
        columns=Block(number=0, vectors=z_ND[gallery], ids=pa.array(gallery), labels=labels.take(pa.array(gallery)))
    )
    found = rank(Queries.of(z_ND[queries], labels.take(pa.array(queries))), [part], listed or len(gallery))
    order, cosines = found.listed["id"].to_numpy()[found.top], found.scores
    others_too = order != queries[:, None]
    if not others_too.all():
        order, cosines = (x[others_too].reshape(len(x), -1) for x in (order, cosines))
    match = pictures.items[order] == pictures.items[queries][:, None]
    tensors = map(torch.from_numpy, (queries, order, cosines, match))
    return Lists(copy=copy, **dict(zip(("queries", "order", "cosines", "match"), tensors, strict=True)))

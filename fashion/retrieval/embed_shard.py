"""One shard of the item table to one shard of embeddings: read, decode, embed, write; without Ray."""

import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import repeat
from threading import Lock

import numpy as np
import pyarrow as pa
import torch

from fashion.data.decode import BadPicture
from fashion.data.rows import flatten
from fashion.data.schema import QUARANTINE
from fashion.data.table import ItemTable, ShardInfo
from fashion.retrieval.carry import Earlier
from fashion.retrieval.embedder import Embedder, ahead
from fashion.retrieval.embeddings import COLUMNS, EMBEDDING, ShardStats, layout, quarantine_file, stats_file, to_table
from fashion.retrieval.labels.columns import SCHEMA, LabelRows, label_columns
from fashion.retrieval.labels.space import LabelSpace
from fashion.retrieval.labels.truth import Truth, truths
from fashion.sealed import digest_of, parquet_parts
from fashion.storage import Store

STAGES = ("read", "decode", "network", "write")
GROUPS_AHEAD = 2  # row groups that are read before they are needed


@dataclass(frozen=True, kw_only=True)
class Row:
    """An image of the item table, and what its picture is to the network."""

    jpeg: bytes
    box: list[int] | None
    domain: str
    truth: Truth | None = None  # where the network predicts labels


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture's pixels, or the reason why there are none, or neither where its embedding is known."""

    domain: str
    digest: str
    truth: Truth | None
    pixels: np.ndarray | None = None
    reason: str | None = None


class Seconds:
    """Time spent, by stage; stages run beside each other, so their sum may exceed the whole."""

    def __init__(self) -> None:
        self.by_stage: defaultdict[str, float] = defaultdict(float)
        self.lock = Lock()

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        with self.lock:
            self.by_stage[stage] += time.perf_counter() - began


class ShardEmbedder:
    """Embeds shards one at a time and keeps the network between them."""

    def __init__(
        self,
        table: ItemTable,
        embedder: Embedder,
        out: Store,
        *,
        device: torch.device,
        threads: int,
        earlier: Earlier | None = None,
    ):
        self.table, self.embedder, self.out, self.earlier = table, embedder, out, earlier
        self.networks = embedder.load(device)
        vocabulary = self.networks.vocabulary
        self.space = LabelSpace.of(vocabulary, table.manifest) if vocabulary else None
        self.decoders = ThreadPoolExecutor(threads, "decode")
        self.reader = ThreadPoolExecutor(1, "read")

    def embed(self, shard: ShardInfo) -> ShardStats:
        """Write the shard's embeddings and its quarantine, then its stats, which are returned: counts, the digest of
        the Parquet file, and seconds by stage (`decode` summed over the threads)."""
        seconds = Seconds()
        with seconds.of("total"):
            annotations: list[pa.Table] = []
            digests, reasons, known = [], {}, []
            dimensions = self.networks.dimensions()
            vectors = {name: np.zeros((shard.images, D), np.float32) for name, D in dimensions.items()}
            labels = LabelRows()
            waiting: list[tuple[int, Shown]] = []
            rows = self._rows(shard, annotations, seconds)
            shown = ahead(self.decoders, lambda row: self._show(row, seconds), rows, 2 * self.embedder.batch)
            for place, picture in enumerate(shown):
                digests.append(picture.digest)
                if picture.reason:
                    reasons[place] = picture.reason
                elif picture.pixels is None:
                    known.append(place)
                else:
                    waiting.append((place, picture))
                if len(waiting) == self.embedder.batch:
                    self._look(waiting, vectors, labels, seconds)
            if waiting:
                self._look(waiting, vectors, labels, seconds)
            if known and self.earlier:
                with seconds.of("read"):
                    carried = [digests[place] for place in known]
                    for name, x_ND in self.earlier.vectors(carried).items():
                        vectors[name][known] = x_ND
                    if self.space:
                        labels.add(known, self.earlier.rows(carried, SCHEMA.names))
            with seconds.of("write"):
                rows = pa.concat_tables(annotations).append_column("digest", pa.array(digests, pa.string()))
                written = self._write(shard, rows, vectors, labels, reasons)
        stats = ShardStats(
            name=shard.name,
            images=shard.images - len(reasons),
            carried=len(known),
            unreadable=len(reasons),
            dimension=dimensions[EMBEDDING],
            digest=written,
            seconds={name: round(seconds.by_stage[name], 3) for name in (*STAGES, "total")},
        )
        self.out.write_value(stats_file(shard.name), stats)
        return stats

    def _rows(self, shard: ShardInfo, annotations: list[pa.Table], seconds: Seconds) -> Iterator[Row]:
        """The shard's images; `about` receives the columns that are kept of them."""

        def read(group: int) -> pa.Table:
            with seconds.of("read"):
                return flatten(self.table.read(shard.name, group))

        for group, rows in enumerate(ahead(self.reader, read, range(len(shard.groups)), GROUPS_AHEAD)):
            part = rows.select(COLUMNS)
            part = part.append_column("shard", pa.array([shard.name] * len(rows)).dictionary_encode())
            annotations.append(part.append_column("group", pa.array([group] * len(rows), pa.int32())))
            columns = (rows[name].to_pylist() for name in ("jpeg", "box", "domain"))
            annotated = truths(rows, crop=self.embedder.crop == "box") if self.space else repeat(None)
            for jpeg, box, domain, truth in zip(*columns, annotated, strict=False):
                yield Row(jpeg=jpeg, box=box, domain=domain, truth=truth)

    def _show(self, row: Row, seconds: Seconds) -> Shown:
        with seconds.of("decode"):
            digest = self.embedder.digest(row.jpeg, row.box, row.domain)
            if self.space and row.truth:
                digest = row.truth.digest(digest, self.space)
            shown = Shown(domain=row.domain, digest=digest, truth=row.truth)
            if self.earlier is not None and digest in self.earlier:
                return shown
            try:
                return replace(shown, pixels=self.embedder.decode(row.jpeg, row.box))
            except BadPicture as fault:
                return replace(shown, reason=str(fault))

    def _look(
        self, waiting: list[tuple[int, Shown]], vectors: dict[str, np.ndarray], labels: LabelRows, seconds: Seconds
    ) -> None:
        """Embed the waiting pictures into `vectors` and `labels`, at their places; none waits afterwards."""
        with seconds.of("network"):
            places, pictures = [place for place, _ in waiting], [picture for _, picture in waiting]
            images = torch.from_numpy(np.stack([p.pixels for p in pictures if p.pixels is not None]))
            embedded, predicted = self.networks(images, [picture.domain for picture in pictures])
            for name, x_ND in embedded.items():
                vectors[name][places] = x_ND
            if self.space and predicted:
                truths = [picture.truth for picture in pictures if picture.truth]
                labels.add(places, label_columns(predicted, truths, self.space))
        waiting.clear()

    def _write(
        self,
        shard: ShardInfo,
        annotations: pa.Table,
        vectors: dict[str, np.ndarray],
        labels: LabelRows,
        reasons: dict[int, str],
    ) -> str:
        """Returns the digest of the file of embeddings."""
        good = np.ones(len(annotations), bool)
        if reasons:
            bad = list(reasons)
            good[bad] = False
            rows = annotations.take(pa.array(bad)).select(["item", "image"]).to_pylist()
            split = shard.split
            rows = [row | {"split": split, "reason": reasons[place]} for row, place in zip(rows, bad, strict=True)]
            self.out.write_table(quarantine_file(shard.name), pa.Table.from_pylist(rows, QUARANTINE))
            annotations, vectors = (
                annotations.filter(pa.array(good)),
                {name: x_ND[good] for name, x_ND in vectors.items()},
            )
        if self.space:
            annotations = labels.beside(annotations)
        identity = self.embedder.identity(self.table.fingerprint)
        rows = to_table(annotations, vectors, identity, self.embedder.dtype)
        pages, seal, footer = parquet_parts(rows, **layout(rows))
        self.out.write(f"{shard.name}.parquet", pages, seal, footer)
        return digest_of(pages, footer)

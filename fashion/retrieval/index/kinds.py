"""Approximate nearest-neighbour indexes of faiss: which kind, how it is built, how it is searched. No files, no Ray."""

import math
from dataclasses import dataclass
from typing import Literal

import faiss
import numpy as np

from fashion.errors import InputError

KINDS = ("flat", "ivf", "hnsw", "ivfpq")
A_LIST = 39  # vectors that faiss wants for each centroid it trains
LEAST = 16 * A_LIST  # vectors; fewer are indexed flat, which is as quick and exact


@dataclass(frozen=True, kw_only=True)
class AnnSettings:
    """The indexes for serving."""

    domain: Literal["shop", "consumer", "any"] = "shop"
    """Whose images are indexed."""
    vectors: int = 100_000
    """Vectors an index, about: neighbouring shards share one until there are so many. 1: an index a shard."""
    nprobe: int = 32
    """ivf, ivfpq: lists that a query visits, of about 4 sqrt(vectors)."""
    hnsw_m: int = 32
    """hnsw: neighbours a vector is linked with."""
    ef_construction: int = 200
    """hnsw: candidates while it is built."""
    ef_search: int = 64
    """hnsw: candidates of a query."""
    pq_m: int | None = None
    """ivfpq: parts that a vector is cut into, of one byte each. Default: parts of four numbers."""
    queries: int = 1000
    """Queries that recall and speed are measured with: customers' photos where the catalogue has some."""
    seed: int = 0
    """Seed of the choice of those queries."""

    def __post_init__(self):
        for name in ("vectors", "nprobe", "hnsw_m", "ef_construction", "ef_search", "pq_m", "queries"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"ann.{name}: found {value}, expected at least 1")

    def of(self, kind: str, dimension: int) -> dict:
        """What an index of this kind depends on. Raises InputError."""
        ivf = {"nprobe": self.nprobe}
        settings = {
            "flat": {},
            "ivf": ivf,
            "hnsw": {
                "hnsw_m": self.hnsw_m,
                "ef_construction": self.ef_construction,
                "ef_search": self.ef_search,
            },
            "ivfpq": ivf | {"pq_m": self._parts(dimension)},
        }
        return {"kind": kind, "domain": self.domain, "vectors": self.vectors, **settings[kind]}

    def _parts(self, dimension: int) -> int:
        if self.pq_m is None:
            return next(parts for parts in range(max(1, dimension // 4), 0, -1) if dimension % parts == 0)
        if dimension % self.pq_m:
            raise InputError(f"ann.pq_m: found {self.pq_m}, expected a divisor of the embedding's length {dimension}")
        return self.pq_m


def build(x_ND: np.ndarray, settings: dict) -> faiss.Index:
    """An index by inner product of N vectors, whose ids are their rows; the same for the same vectors and settings.

    `settings`: as `AnnSettings.of` gives them. Runs on one thread: faiss fills a graph in any order with more.
    """
    N, D = x_ND.shape
    kind = settings["kind"] if N >= LEAST else "flat"
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index = _empty(kind, N, D, settings)
        index.train(x_ND)
        index.add(x_ND)
    finally:
        faiss.omp_set_num_threads(threads)
    return index


def _empty(kind: str, N: int, D: int, settings: dict) -> faiss.Index:
    if kind == "flat":
        return faiss.IndexFlatIP(D)
    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(D, settings["hnsw_m"], faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = settings["ef_construction"]
        index.hnsw.efSearch = settings["ef_search"]
        return index
    lists = max(1, min(round(4 * math.sqrt(N)), N // A_LIST))
    if kind == "ivf":
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(D), D, lists, faiss.METRIC_INNER_PRODUCT)
    else:
        bits = min(8, int(math.log2(N / A_LIST)))  # as many as there are vectors to train the centroids of
        index = faiss.IndexIVFPQ(faiss.IndexFlatIP(D), D, lists, settings["pq_m"], bits, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = min(settings["nprobe"], lists)
    return index


def search(index: faiss.Index, queries_QD: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (Q, k) float32, best first, and rows (Q, k) int64; -inf and -1 where the index found no more."""
    scores, rows = index.search(np.ascontiguousarray(queries_QD, np.float32), k)
    return np.where(rows < 0, -np.inf, scores).astype(np.float32), rows


def merge(parts: list[tuple[np.ndarray, np.ndarray]], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The best k of several (scores, ids) (Q, ·): score descending, then id ascending."""
    scores, ids = (np.concatenate(column, axis=1) for column in zip(*parts, strict=True))
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)


def agreement(found_QK: np.ndarray, exact_QK: np.ndarray, k: int) -> float:
    """Recall@k of an approximate answer against the exact one: the share of each exact top k that is found."""
    found, exact = found_QK[:, :k], exact_QK[:, :k]
    hit = (exact[:, :, None] == found[:, None, :]).any(2) & (exact >= 0)
    return float(hit.sum() / max(1, (exact >= 0).sum()))

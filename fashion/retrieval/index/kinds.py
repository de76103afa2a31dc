"""Approximate nearest-neighbour indexes of faiss: which kind, how it is built, how it is searched. No files, no Ray."""

import math

import faiss
import numpy as np

A_LIST = 39  # vectors that faiss wants for each centroid it trains
LEAST = 16 * A_LIST  # vectors; fewer are indexed flat, which is as quick and exact


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
        graph = faiss.IndexHNSWFlat(D, settings["hnsw_m"], faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = settings["ef_construction"]
        graph.hnsw.efSearch = settings["ef_search"]
        return graph
    lists = max(1, min(round(4 * math.sqrt(N)), N // A_LIST))
    index: faiss.IndexIVF
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
    listed, exact = found_QK[:, :k], exact_QK[:, :k]
    hit = (exact[:, :, None] == listed[:, None, :]).any(2) & (exact >= 0)
    return float(hit.sum() / max(1, (exact >= 0).sum()))

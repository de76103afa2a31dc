"""Find the catalogue's nearest images to a few queries, exactly, shard by shard; without Ray."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fashion.retrieval.embedder import ahead
from fashion.retrieval.embeddings import EMBEDDING, Catalogue, Embeddings, read_embeddings
from fashion.retrieval.finite import check_finite

LEAST = np.finfo(np.float32).min  # above the -inf of what is not searched
SHARDS_AHEAD = 4  # read while another is searched: storage answers slower than the search does
COLUMNS = ["image", "item", "domain", "category", "shard", "group", EMBEDDING]


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A found image; `shard` and `group` say where its picture is in the item table."""

    image: str
    item: str
    domain: str
    category: str | None
    shard: str
    group: int
    score: float


def nearest(catalogue: Catalogue, queries_QD: np.ndarray, k: int, *, domain: str = "any") -> list[list[Hit]]:
    """The k best images of `domain` (or any) for each query: score (inner product) descending, then image id ascending.

    Memory: a handful of shards and Q x (shard + k) scores. Raises InputError where a vector is not finite.
    """
    queries_QD = check_finite(np.asarray(queries_QD, np.float32), "query")
    best: list[list[Hit]] = [[] for _ in queries_QD]
    for shard in _shards(catalogue):
        scores_QN = queries_QD @ shard.vectors[EMBEDDING].T
        if domain != "any":
            others = np.array([held != domain for held in shard.about["domain"].to_pylist()], bool)
            scores_QN[:, others] = -np.inf
        for q, scores_N in enumerate(scores_QN):
            rows = _candidates(scores_N, k, least=best[q][-1].score if len(best[q]) == k else LEAST)
            hits = best[q] + [Hit(**_row(shard.about, row), score=float(scores_N[row])) for row in rows.tolist()]
            best[q] = sorted(hits, key=lambda hit: (-hit.score, hit.image, hit.item))[:k]
    return best


def _row(about: pa.Table, row: int) -> dict:
    return about.slice(row, 1).to_pylist()[0]  # not about.take, which imports pandas, as `vectors_of` says


def _candidates(scores_N: np.ndarray, k: int, *, least: float) -> np.ndarray:
    """The rows of the k best scores and of all that tie with the last of them, where they are at least `least`."""
    if len(scores_N) > k:
        least = max(least, np.partition(scores_N, -k)[-k])
    return np.flatnonzero(scores_N >= least)


def _shards(catalogue: Catalogue) -> Iterator[Embeddings]:
    store, manifest = catalogue

    def read(name: str) -> Embeddings:
        found = read_embeddings(store, [name], COLUMNS)
        check_finite(found.vectors[EMBEDDING], "catalogue image", found.about["image"])
        return found

    with ThreadPoolExecutor(SHARDS_AHEAD) as pool:
        yield from ahead(pool, read, [shard["name"] for shard in manifest["shards"]], SHARDS_AHEAD)

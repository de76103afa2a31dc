"""Find the catalogue's nearest images to a few queries, exactly, shard by shard; without Ray."""

from dataclasses import dataclass

import numpy as np

from fashion.retrieval import rank
from fashion.retrieval.embeddings import Catalogue
from fashion.retrieval.gallery import Shard, View
from fashion.retrieval.search.parts import ThreadMapReduce
from fashion.retrieval.search.queries import Queries

AHEAD = ThreadMapReduce(threads=4)  # storage answers slower than the search does


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
    store, manifest = catalogue
    parts = [Shard(number=n, store=store, name=shard.name, role=None) for n, shard in enumerate(manifest.shards)]
    view = View(domain=None if domain == "any" else domain)
    lists = rank.nearest(Queries.unlabelled(queries_QD), parts, k, view=view, map_reduce=AHEAD)
    rows = lists.columns.table().drop_columns(["id"]).to_pylist()
    return [
        [Hit(**rows[row], score=float(score)) for row, score in zip(top, scores, strict=True) if row >= 0]
        for top, scores in zip(lists.top.tolist(), lists.scores.tolist(), strict=True)
    ]

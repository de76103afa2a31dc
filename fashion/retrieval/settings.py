"""What a user chooses about embedding, counting, comparing and indexing."""

import re
from dataclasses import dataclass
from typing import Literal

from fashion.domain import Split
from fashion.errors import InputError
from fashion.setting_ranges import check, setting

MEASURES = {"map": "average_precision", "r_precision": "r_precision", "mrr": "rank"}  # and the column they come from
KINDS = ("flat", "ivf", "hnsw", "ivfpq")


@dataclass(frozen=True, kw_only=True)
class EmbedSettings:
    """How pictures are embedded, and with how much of the cluster."""

    batch: int = setting(256, least=1)
    """Pictures that the network sees at a time."""
    precision: Literal["float32", "bf16"] = "float32"
    """What the network computes in; bf16 is quicker on GPUs and differs in the third digit."""
    dtype: Literal["float32", "float16"] = "float32"
    """What the embeddings are kept in; float16 is half the storage and differs in the fourth digit."""
    actors: int | None = setting(None, least=1)
    """Processes with the network each. Default: one a GPU, or one a machine where there is none."""
    threads: int | None = setting(None, least=1)
    """Threads of an actor that decode. Default: an actor's share of the machine's CPUs."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class ProtocolSettings:
    """How retrieval is counted."""

    query_split: Literal["test", "val"] = "test"
    """Split that the queries come from."""
    gallery_splits: tuple[Split, ...] | None = None
    """Splits that the gallery comes from. Default: the query split (in the category benchmark: train)."""
    positives: Literal["item", "pair"] = "item"
    """item: every gallery image of the query's item is a match. pair: only the shop photos that the query is
    annotated to match; other photos of its item are left out of its ranking. The category benchmark matches by
    category."""
    ranking: Literal["image", "item", "centroid"] = "image"
    """image: images are ranked. item: items, each by its best image. centroid: items, each by its images' mean."""
    ks: tuple[int, ...] = setting((1, 5, 10, 20, 50), least=1)
    """The k of recall@k."""
    expansion: int = setting(0, least=0)
    """Query expansion: a query is averaged with so many of what it finds first, and asks again. 0: off."""
    expansion_power: float = setting(3.0, least=0)
    """Of a found column's score, its weight in that average (alpha-QE). 0: all weigh as much as the query."""
    reranking: int = setting(0, least=0)
    """k-reciprocal re-ranking (Zhong et al. 2017) of so many of each query's best columns. 0: off."""
    reranking_k1: int = setting(20, least=1)
    """Its neighbours."""
    reranking_k2: int = setting(6, least=1)
    """Its neighbours that are averaged over."""
    reranking_weight: float = setting(0.3, least=0, most=1)
    """Its lambda: the weight of the original distance."""
    category: Literal["ignore", "weigh", "restrict"] = "ignore"
    """ignore: embeddings alone are compared. weigh: also how far the predicted categories agree. restrict: images of the
    query's predicted category come first, in the order of their embeddings, then the others. For networks with
    network.design fashionnet."""
    category_weight: float = setting(0.1, above=0, most=1000)
    """For weigh: the weight of the categories' agreement (0 to 1), where the embeddings' cosine has weight 1."""

    def __post_init__(self) -> None:
        check(self, "protocol")
        if not self.ks:
            raise InputError("protocol.ks: found none, expected at least one k, a whole number")
        if self.ranking == "item" and (self.expansion or self.reranking):
            raise InputError(
                "protocol.ranking: found item with expansion or reranking, expected image or centroid: they need one "
                "vector for each that is ranked"
            )
        if self.positives == "pair" and self.ranking != "image":
            raise InputError(
                f"protocol.ranking: found {self.ranking!r} with positives=pair, expected image: a pair names one "
                "photo, not an item"
            )


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """When an evaluation counts as worse than the one it is compared with."""

    metric: str = "recall@1"
    """The one number that decides: recall@K, map, r_precision or mrr."""
    alpha: float = setting(0.05, above=0, below=1, note="a fraction such as 0.05")
    """Chance of calling a difference real where there is none, on either side."""
    draws: int = setting(4000, least=100)
    """Bootstrap samples."""
    seed: int = 0
    """Seed of the bootstrap."""

    def __post_init__(self) -> None:
        if self.metric not in MEASURES and not re.fullmatch(r"recall@[1-9]\d*", self.metric):
            raise InputError(f"gate.metric: found {self.metric!r}, expected recall@K, {', '.join(MEASURES)}")
        check(self, "gate")


@dataclass(frozen=True, kw_only=True)
class AnnSettings:
    """The indexes for serving."""

    domain: Literal["shop", "consumer", "any"] = "shop"
    """Whose images are indexed."""
    vectors: int = setting(100_000, least=1)
    """Vectors an index, about: neighbouring shards share one until there are so many. 1: an index a shard."""
    nprobe: int = setting(32, least=1)
    """ivf, ivfpq: lists that a query visits, of about 4 sqrt(vectors)."""
    hnsw_m: int = setting(32, least=1)
    """hnsw: neighbours a vector is linked with."""
    ef_construction: int = setting(200, least=1)
    """hnsw: candidates while it is built."""
    ef_search: int = setting(64, least=1)
    """hnsw: candidates of a query."""
    pq_m: int | None = setting(None, least=1)
    """ivfpq: parts that a vector is cut into, of one byte each. Default: parts of four numbers."""
    queries: int = setting(1000, least=1)
    """Queries that recall and speed are measured with: customers' photos where the catalogue has some."""
    seed: int = 0
    """Seed of the choice of those queries."""

    def __post_init__(self) -> None:
        check(self, "ann")

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

"""Small galleries: in memory with the plainest ranking to hold against, and on storage as embedding shards."""

import math
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from fashion.retrieval.embeddings import EMBEDDING, to_table
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.parts import MemoryPart
from fashion.storage import Store

KINDS = ("plain", "coarse", "copies", "close", "halfway", "tiny", "mixed")


def vectors(rng: np.random.Generator, n: int, D: int, kind: str) -> np.ndarray:
    """(n, D) float32. plain: none alike. coarse: scores tie often, and some vectors are zero. copies: of three vectors,
    which differ in their last bits from their neighbours: products in float32 cannot tell which is the greater. close: the
    same, further apart, but not for products in bfloat16. halfway: between two bfloat16, so that rounding takes away as
    much as it can. tiny: around the smallest normal number, and below. mixed: of very different lengths, zero too."""
    if kind == "coarse":
        return rng.integers(-1, 2, (n, D)).astype(np.float32)
    x = rng.normal(size=(n, D)).astype(np.float32)
    if kind == "halfway":
        return ((x.view(np.uint32) & 0xFFFF0000) | 0x8000).view(np.float32)
    if kind == "tiny":
        return x * np.float32(2.0) ** rng.integers(-140, -120, (n, 1)).astype(np.float32)
    if kind == "mixed":
        return x * np.where(rng.random((n, 1)) < 0.1, 0, 2.0 ** rng.integers(-40, 40, (n, 1))).astype(np.float32)
    three = np.random.default_rng(D).normal(size=(3, D)).astype(np.float32)[rng.integers(0, 3, n)]
    if kind == "close":
        return three * (1 + np.float32(1e-4) * x)
    return np.where(rng.random((n, D)) < 0.1, np.nextafter(three, np.float32(9)), three) if kind == "copies" else x


def score(x_D: np.ndarray, y_D: np.ndarray) -> np.float32:
    """The inner product without any rounding but the last."""
    return np.float32(math.fsum(x_D.astype(np.float64) * y_D.astype(np.float64)))


def score_matrix(queries_QD: np.ndarray, gallery_GD: np.ndarray) -> np.ndarray:
    return np.array([[score(x, y) for y in gallery_GD] for x in queries_QD], np.float32)


def order(scores_G: np.ndarray, ids: list) -> list[int]:
    """Columns by score descending, then id ascending."""
    return sorted(range(len(ids)), key=lambda g: (-scores_G[g], ids[g]))


def measures(matching: list[bool]) -> tuple[int, float, float]:
    """First rank, average precision and R-precision of one ranking: whether each of its columns matches."""
    ranks = [n + 1 for n, match in enumerate(matching) if match]
    if not ranks:
        return 0, 0.0, 0.0
    return (
        ranks[0],
        float(np.mean([(n + 1) / r for n, r in enumerate(ranks)])),
        sum(matching[: len(ranks)]) / len(ranks),
    )


def held_parts(vectors_GD, ids: list, labels: list, cuts: list[int], images: list | None = None) -> list[MemoryPart]:
    """The gallery in memory, cut into parts; empty parts too."""
    found = []
    for number, (a, b) in enumerate(zip([0, *cuts], [*cuts, len(ids)], strict=True)):
        block = Block(
            number=number, vectors=vectors_GD[a:b], ids=pa.array(ids[a:b], pa.string()), labels=pa.array(labels[a:b]),
            images=None if images is None else pa.array(images[a:b], pa.string()),
        )  # fmt: skip
        found.append(MemoryPart(columns=block))
    return found


def write_shards(store: Store, split: str, rows: list[dict], shards: list[int], kinds=(EMBEDDING,)) -> list[str]:
    """Embedding shards of the rows, which say everything but their place; `shards`: the number of each row's shard.
    Returns the shards' names."""
    names = []
    for number in sorted(set(shards)):
        name = f"{split}/shard-{number:05d}"
        part = [row for row, own in zip(rows, shards, strict=True) if own == number]
        schema = pa.schema(
            [(name, pa.string()) for name in ("image", "item", "domain", "role", "category")]
            + [
                ("clothes_type", pa.int8()),
                ("pairs", pa.list_(pa.string())),
                ("shard", pa.string()),
                ("group", pa.int32()),
            ]
        )
        about = pa.Table.from_pylist([{**row, "shard": name, "group": 0} for row in part], schema)
        about = about.set_column(7, "shard", about["shard"].dictionary_encode())
        store.write_table(
            f"{name}.parquet", to_table(about, {k: np.stack([row[k] for row in part]) for k in kinds}, {})
        )
        names.append(name)
    return names


def item_table(benchmark: str = "consumer-to-shop"):
    """As much of an item table as an evaluation looks at."""
    positives = "category" if benchmark == "category-attribute" else "item"
    return SimpleNamespace(benchmark=benchmark, positives=positives, store=SimpleNamespace(uri="the table"))

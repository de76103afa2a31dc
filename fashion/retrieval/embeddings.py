"""Embeddings on storage: one Parquet shard per shard of the item table, readable without Ray, and a manifest.

manifest.json                 written last: network, data, transform, dimension, counts
test/shard-00000.parquet      image, item, ..., embedding: fixed_size_list<float32>, one per image
test/shard-00000.json         stats of a finished shard
identity.json                 written first: what the shards are of; another identity is refused
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fashion.errors import InputError
from fashion.storage import Store

IDENTITY, MANIFEST = "identity.json", "manifest.json"
COLUMNS = ("image", "item", "domain", "role", "category", "pairs")
EMBEDDING, UNTRAINED, HISTOGRAM = "embedding", "untrained", "histogram"


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """N embedded images: the annotation's columns, where each lies in the item table, and the vectors by name."""

    about: pa.Table  # COLUMNS, and shard and group: where the picture is
    vectors: dict[str, np.ndarray]  # name -> (N, D) float32

    def __len__(self) -> int:
        return self.about.num_rows

    def column(self, name: str) -> np.ndarray:
        return self.about[name].to_numpy(zero_copy_only=False)

    def take(self, index: np.ndarray) -> "Embeddings":
        return Embeddings(
            about=self.about.take(pa.array(index)), vectors={k: v[index] for k, v in self.vectors.items()}
        )


def claim(store: Store, identity: dict) -> None:
    """Say what the folder's embeddings are of, or check that it is the same. Raises InputError otherwise."""
    if not store.exists(IDENTITY):
        store.write_json(IDENTITY, identity)
        return
    held = store.read_json(IDENTITY)
    for name, value in identity.items():
        if held.get(name) != value:
            raise InputError(
                f"{store.uri}: holds embeddings of {name} {held.get(name)!r}, and {value!r} was asked for; choose "
                "another folder"
            )


def to_table(about: pa.Table, vectors: dict[str, np.ndarray]) -> pa.Table:
    for name, x_ND in vectors.items():
        flat = pa.array(np.ascontiguousarray(x_ND, np.float32).reshape(-1))
        about = about.append_column(name, pa.FixedSizeListArray.from_arrays(flat, x_ND.shape[1]))
    return about


def read_embeddings(store: Store, shards: list[str]) -> Embeddings:
    """The embeddings of the named shards, in order."""
    tables = [store.read_table(f"{shard}.parquet") for shard in shards]
    table = pa.concat_tables(tables)
    names = [field.name for field in table.schema if pa.types.is_fixed_size_list(field.type)]
    vectors = {}
    for name in names:
        column = table[name].combine_chunks()
        vectors[name] = column.flatten().to_numpy().reshape(len(table), column.type.list_size)
    return Embeddings(about=table.drop_columns(names), vectors=vectors)

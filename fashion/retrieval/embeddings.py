"""Embeddings on storage: one Parquet shard per shard of the item table, readable without Ray, and a manifest.

_identity.json                       written first: what the shards are of; another identity is refused
test/shard-00000.parquet             image, item, ..., embedding: fixed_size_list<float>, one row an image; of a network
                                     that predicts labels also category_scores and the columns of labels/columns.py
_stats/test/shard-00000.json         written once the shard is finished
_quarantine/test/shard-00000.parquet images that could not be decoded, with the reason
_manifest.json                       written last: identity, dimension, counts, the stats of all finished shards

pandas.read_parquet and pyarrow.dataset.dataset of the folder, or of test/ alone, read the shards: what begins with _ they
leave out.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from fashion.errors import InputError
from fashion.identity import check_same
from fashion.json_values import inline
from fashion.provenance import now, versions
from fashion.retrieval.search.arrow import numbers
from fashion.storage import Store

FORMAT = 3
IDENTITY, MANIFEST = "_identity.json", "_manifest.json"
COLUMNS = ("image", "item", "domain", "role", "category", "clothes_type", "pairs")
EMBEDDING, UNTRAINED, HISTOGRAM = "embedding", "untrained", "histogram"


@dataclass(frozen=True, kw_only=True)
class ShardStats:
    """A finished shard of embeddings."""

    name: str  # e.g. test/shard-00000
    images: int
    carried: int
    unreadable: int
    dimension: int
    digest: str  # of the Parquet file
    seconds: dict[str, float]  # by stage


@dataclass(frozen=True, kw_only=True)
class CatalogueManifest:
    """_manifest.json."""

    kind: Literal["embeddings"] = "embeddings"
    format: int = FORMAT
    network: str  # fingerprint
    data: str  # fingerprint of the item table
    shown: dict[str, Any] = inline()  # the rest of the embedder's identity
    dimension: int
    images: int
    carried: int
    unreadable: int
    shards: tuple[ShardStats, ...]
    data_uri: str
    versions: dict[str, Any]
    created: str

    def __post_init__(self) -> None:
        if not self.shards:
            raise ValueError("shards is [], expected a list that is not empty")

    @property
    def identity(self) -> dict:
        """What the vectors depend on, as `Embedder.identity` has it."""
        return {"format": self.format, "network": self.network, "data": self.data, **self.shown}


class Catalogue(NamedTuple):
    """Finished embeddings: their folder and their manifest."""

    store: Store
    manifest: CatalogueManifest


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
    check_same(store, "embeddings", _of(store.read_value(IDENTITY, dict), identity), identity, "choose another folder")


def check_comparable(catalogue: Catalogue, identity: dict) -> None:
    """Whether the catalogue's vectors are what `identity` would compute, whatever the data. Raises InputError with both
    values otherwise."""
    rest = {name: value for name, value in identity.items() if name != "data"}
    theirs = _of(catalogue.manifest.identity, rest)
    check_same(catalogue.store, "embeddings", theirs, rest, "embed the whole catalogue, without --since")


def _of(identity: dict, names: Collection[str]) -> dict:
    return {name: identity.get(name) for name in names}


def open_catalogue(uri: str) -> Catalogue:
    """The folder and manifest of finished embeddings; `uri` is the folder or its manifest. Raises InputError."""
    store = Store(uri.removesuffix(f"/{MANIFEST}"))
    try:
        manifest = store.read_value(MANIFEST, dict)
    except FileNotFoundError:
        raise InputError(
            f"{store.uri}: no {MANIFEST} there, so no finished embeddings; make them with jobs/embed.py"
        ) from None
    if manifest.get("kind") != "embeddings" or manifest.get("format") != FORMAT:
        raise InputError(
            f"{store.uri}/{MANIFEST}: found {manifest.get('kind')} format {manifest.get('format')}, expected "
            f"embeddings format {FORMAT}; embed the catalogue again with this version"
        )
    return Catalogue(store, store.value_of(MANIFEST, manifest, CatalogueManifest))


def write_manifest(store: Store, identity: dict, stats: Sequence[ShardStats], *, data_uri: str) -> CatalogueManifest:
    """The manifest of these shards and of those that were finished before; written only where it says something new."""
    earlier = store.read_value(MANIFEST, CatalogueManifest) if store.exists(MANIFEST) else None
    shards = {shard.name: shard for shard in (*(earlier.shards if earlier else ()), *stats)}
    rows = tuple(shards[name] for name in sorted(shards))
    manifest = CatalogueManifest(
        network=identity["network"],
        data=identity["data"],
        shown={name: value for name, value in identity.items() if name not in ("format", "network", "data")},
        dimension=rows[0].dimension,
        images=sum(row.images for row in rows),
        carried=sum(row.carried for row in rows),
        unreadable=sum(row.unreadable for row in rows),
        shards=rows,
        data_uri=data_uri,
        versions=versions(),
        created=now(),
    )
    if (
        earlier
        and replace(earlier, data_uri=data_uri, versions=manifest.versions, created=manifest.created) == manifest
    ):
        return earlier
    store.write_value(MANIFEST, manifest)
    return manifest


def to_table(annotations: pa.Table, vectors: dict[str, np.ndarray], identity: dict, dtype: str = "float32") -> pa.Table:
    """One row an image; the table's schema says what it is of."""
    for name, x_ND in vectors.items():
        flat = pa.array(np.ascontiguousarray(x_ND, dtype).reshape(-1))
        annotations = annotations.append_column(name, pa.FixedSizeListArray.from_arrays(flat, x_ND.shape[1]))
    return annotations.replace_schema_metadata({"identity": json.dumps(identity)})


def layout(table: pa.Table) -> dict:
    """How a shard is written. Vectors hardly compress, and each is there once: without compression and dictionary they
    are read twice as fast."""
    vectors = [field.name for field in table.schema if pa.types.is_fixed_size_list(field.type)]
    texts = [name for name in ("domain", "role", "category", "shard") if name in table.column_names]
    compression = {name: "none" if name in vectors else "zstd" for name in table.column_names}
    return {"compression": compression, "use_dictionary": texts}


def vectors_of(column: pa.ChunkedArray) -> np.ndarray:
    """A column of fixed-size lists as (N, D) float32."""
    column = column.combine_chunks()
    return numbers(column.flatten()).reshape(len(column), column.type.list_size).astype(np.float32, copy=False)


def read_embeddings(store: Store, shards: list[str], columns: list[str] | None = None) -> Embeddings:
    """The embeddings of the named shards, in order; all columns, or those named."""
    table = pa.concat_tables([store.read_table(f"{shard}.parquet", columns) for shard in shards])
    names = [field.name for field in table.schema if pa.types.is_fixed_size_list(field.type)]
    return Embeddings(about=table.drop_columns(names), vectors={name: vectors_of(table[name]) for name in names})


def quarantine_file(shard: str) -> str:
    return f"_quarantine/{shard}.parquet"


def stats_file(shard: str) -> str:
    return f"_stats/{shard}.json"

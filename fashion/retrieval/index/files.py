"""Indexes beside the embeddings: each says of which shards, in which version, and whose its rows are.

_index/ivf/part-00000.faiss    faiss.write_index
_index/ivf/part-00000.parquet  image and item of each row
_index/ivf/part-00000.json     written last of a part: its shards with the digests of their files, settings, counts
_index/ivf/_manifest.json      written last: network, settings, parts
"""

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import faiss
import numpy as np
import pyarrow as pa

from fashion.errors import InputError
from fashion.retrieval.embeddings import EMBEDDING, MANIFEST, Catalogue, CatalogueManifest, read_embeddings
from fashion.retrieval.index.kinds import build
from fashion.retrieval.products.score import check_finite
from fashion.storage import Store

ANY = "any"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A loaded index: row i is `images[i]` of `items[i]`."""

    index: faiss.Index
    images: np.ndarray
    items: np.ndarray


@dataclass(frozen=True, kw_only=True)
class PartManifest:
    """The JSON beside an index."""

    network: str  # fingerprint
    settings: dict[str, Any]  # as `AnnSettings.of` has them
    shards: dict[str, str]  # of embeddings that are indexed, and their digests
    name: str
    rows: int
    built: str  # the class of faiss
    bytes: int
    digest: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class IndexManifest:
    """The indexes of one kind over a catalogue."""

    kind: Literal["index"] = "index"
    network: str
    settings: dict[str, Any]
    shards: dict[str, str]
    parts: tuple[PartManifest, ...]


def plan_parts(manifest: CatalogueManifest, vectors: int) -> list[list[str]]:
    """The names of neighbouring shards that share an index: of at least `vectors` images, the last of what is left."""
    parts: list[list[str]] = [[]]
    images = 0
    for shard in manifest.shards:
        if images >= vectors:
            parts.append([])
            images = 0
        parts[-1].append(shard.name)
        images += shard.images
    return parts


def digests(manifest: CatalogueManifest, shards: Iterable[str] | None = None) -> dict[str, str]:
    """Shard -> digest of its file of embeddings: which version of it. None: all shards."""
    digest_of = {shard.name: shard.digest for shard in manifest.shards}
    return digest_of if shards is None else {shard: digest_of[shard] for shard in shards}


def gallery_of(store: Store, shards: list[str], domain: str) -> tuple[pa.Table, np.ndarray]:
    """image, item, domain (N rows) and the embeddings (N, D) of the shards' images of `domain`. Raises InputError where one
    is not finite."""
    embeddings = read_embeddings(store, shards, ["image", "item", "domain", EMBEDDING])
    if domain != ANY:
        embeddings = embeddings.take(np.flatnonzero(embeddings.column("domain") == domain))
    return embeddings.about, check_finite(embeddings.vectors[EMBEDDING], "catalogue image", embeddings.about["image"])


def build_part(catalogue: Catalogue, number: int, shards: list[str], settings: dict) -> PartManifest | None:
    """Build and write an index, where it is not there in this very version; what its JSON holds, or None where the
    shards have no image of the domain."""
    store, manifest = catalogue
    folder, name = index_folder(store, settings["kind"]), part_name(number)
    versions = digests(manifest, shards)
    if folder.exists(f"{name}.json"):
        there = folder.read_value(f"{name}.json", PartManifest)
        if (there.network, there.settings, there.shards) == (manifest.network, settings, versions):
            return there
        folder.delete(f"{name}.json")
    rows, x_ND = gallery_of(store, shards, settings["domain"])
    if not len(x_ND):
        return None
    began = time.perf_counter()
    index = build(x_ND, settings)
    seconds = time.perf_counter() - began
    data = faiss.serialize_index(index).tobytes()
    folder.write(f"{name}.faiss", data)
    folder.write_table(f"{name}.parquet", rows.select(["image", "item"]))
    part = PartManifest(
        network=manifest.network,
        settings=settings,
        shards=versions,
        name=name,
        rows=len(x_ND),
        built=type(index).__name__,
        bytes=len(data),
        digest=hashlib.blake2b(data, digest_size=8).hexdigest(),
        seconds=round(seconds, 3),
    )
    folder.write_value(f"{name}.json", part)
    return part


def write_index_manifest(catalogue: Catalogue, settings: dict, parts: Sequence[PartManifest]) -> IndexManifest:
    """Written only where it says something new."""
    store, manifest = catalogue
    folder = index_folder(store, settings["kind"])
    index = IndexManifest(network=manifest.network, settings=settings, shards=digests(manifest), parts=tuple(parts))
    if not folder.exists(MANIFEST) or folder.read_value(MANIFEST, IndexManifest) != index:
        folder.write_value(MANIFEST, index)
    return index


def open_index(catalogue: Catalogue, kind: str) -> IndexManifest:
    """The manifest of an index. Raises InputError where there is none, or where it is of another version of the
    embeddings, of fewer or of more of them."""
    store, manifest = catalogue
    folder = index_folder(store, kind)
    if not folder.exists(MANIFEST):
        raise InputError(f"{folder.uri}: no {kind} index there; make it with jobs/embed.py --index {kind}")
    index = folder.read_value(MANIFEST, IndexManifest)
    indexed, embedded = index.shards, digests(manifest)
    for name in [*embedded, *(indexed.keys() - embedded.keys())]:
        if indexed.get(name) != embedded.get(name):
            raise InputError(
                f"{folder.uri}: index of {name} in version {indexed.get(name)}, the embeddings there have "
                f"{embedded.get(name)}; make it again with jobs/embed.py --index {kind}"
            )
    return index


def load_part(store: Store, part: PartManifest) -> Part:
    """One index of an index manifest. Raises InputError where the file is another than the manifest's."""
    folder, name = index_folder(store, part.settings["kind"]), part.name
    data = folder.read(f"{name}.faiss")
    digest = hashlib.blake2b(data, digest_size=8).hexdigest()
    if digest != part.digest:
        raise InputError(
            f"{folder.uri}/{name}.faiss: found version {digest}, its manifest has {part.digest}; delete the folder "
            "and make the index again"
        )
    rows = folder.read_table(f"{name}.parquet")
    image, item = (rows[column].to_numpy(zero_copy_only=False) for column in ("image", "item"))
    return Part(index=faiss.deserialize_index(np.frombuffer(data, np.uint8)), images=image, items=item)


def index_folder(store: Store, kind: str) -> Store:
    return store / f"_index/{kind}"


def part_name(number: int) -> str:
    return f"part-{number:05d}"

"""The gallery as embedding shards on storage: each is a part that is searched by itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.embeddings import EMBEDDING, vectors_of
from fashion.retrieval.finite import check_finite
from fashion.retrieval.labels.columns import CATEGORY_SCORES
from fashion.retrieval.search.blend import Blend
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.exact import unit_rows
from fashion.retrieval.search.sweep import Sweep, sweep_here
from fashion.storage import Store

ABOUT = ["image", "item", "domain", "category", "shard", "group"]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One shard's gallery images, or their items."""

    number: int
    store: Store
    name: str
    vector: str = EMBEDDING
    """Column of the vectors."""
    blend: Blend | None = None
    """Joins the vectors with the scores of the predicted categories."""
    label: str = "item"
    """What queries look for: item or category."""
    ranking: str = "image"
    """As in ProtocolSettings: image, item or centroid."""
    domain: str | None = None
    """Images of this domain only."""
    given: pa.Array | None = None
    """Items of this shard that another part ranks."""
    taken: dict[str, pa.Array] = field(default_factory=dict)
    """Items of this part that have images in other shards too, by the shard."""

    def load(self) -> Block:
        """The gallery images in the shard's order, or items in ascending order."""
        rows = self._rows([*ABOUT, self.vector, *([CATEGORY_SCORES] if self.blend else [])])
        return images(self, rows) if self.ranking == "image" else items(self, rows)

    def labels(self, *, images: bool) -> tuple[pa.Array, pa.Array | None]:
        """Of the columns of `load`, in any order."""
        if self.ranking != "image":
            return self.items(), None
        rows = self._rows([self.label, *(["image"] if images else [])])
        return rows[self.label].combine_chunks(), rows["image"].combine_chunks() if images else None

    def items(self) -> pa.Array:
        """The distinct items."""
        return self._rows(["item"])["item"].unique()

    def images(self, columns: list[str]) -> pa.Table:
        """These columns of the gallery images in this shard alone."""
        return self._read(self.name, columns)

    def vectors(self, rows: pa.Table) -> np.ndarray:
        """(N, D) float32 that are searched, of rows of `load`. Raises InputError where one is not finite."""
        z_ND, *by = (
            check_finite(vectors_of(rows[name]), "gallery image", rows["image"])
            for name in (self.vector, *([CATEGORY_SCORES] if self.blend else []))
        )
        return self.blend(z_ND, *by) if self.blend else z_ND

    def _rows(self, columns: list[str]) -> pa.Table:
        rows = self._read(self.name, columns)
        if self.given is not None:
            rows = rows.filter(pc.invert(pc.is_in(rows["item"], self.given)))
        taken = [(self._read(name, columns), items) for name, items in self.taken.items()]
        return pa.concat_tables([rows, *(other.filter(pc.is_in(other["item"], items)) for other, items in taken)])

    def _read(self, name: str, columns: list[str]) -> pa.Table:
        needed = (
            {"role", *columns}
            | ({"domain"} if self.domain else set())
            | ({"item"} if self.ranking != "image" else set())
        )
        rows = read_rows(self.store, name, sorted(needed))
        wanted = pc.equal(rows["role"], "gallery")
        if self.domain is not None:
            wanted = pc.and_(wanted, pc.equal(rows["domain"], self.domain))
        return rows if pc.all(wanted, min_count=0).as_py() else rows.filter(wanted)


def read_rows(store: Store, shard: str, columns: list[str] | None = None) -> pa.Table:
    """Rows of an embedding shard; dictionaries, which differ from shard to shard, are written out."""
    rows = store.read_table(f"{shard}.parquet", columns)
    for n, column in enumerate(rows.schema):
        if pa.types.is_dictionary(column.type):
            rows = rows.set_column(n, column.name, rows[column.name].cast(column.type.value_type))
    return rows


def images(shard: Shard, rows: pa.Table) -> Block:
    """A column an image."""
    image, item = (rows[name].combine_chunks() for name in ("image", "item"))
    ids = pc.binary_join_element_wise(image, item, "\0")  # a picture may show two items
    return Block(
        number=shard.number, vectors=shard.vectors(rows), ids=ids, labels=rows[shard.label].combine_chunks(),
        images=image, about=rows.select(ABOUT),
    )  # fmt: skip


def items(shard: Shard, rows: pa.Table) -> Block:
    """A column an item: with all its images' vectors, or with their mean, brought to unit length."""
    rows = rows.take(pc.sort_indices(rows, [("item", "ascending"), ("image", "ascending")]))
    item = rows["item"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.r_[len(item) > 0, item[1:] != item[:-1]])
    vectors, first = shard.vectors(rows), rows.select(ABOUT).take(pa.array(starts))
    if shard.ranking == "centroid":
        vectors, starts = centroids(vectors, starts), None
    ids = first["item"].combine_chunks()
    return Block(number=shard.number, vectors=vectors, ids=ids, labels=ids, about=first, starts=starts)


def centroids(z_ND: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(C, D) float32 mean of each run of rows, brought to unit length; `starts` (C,) ascending, from 0.

    Every addition has its fixed place, so that the result is the same on any machine.
    """
    if not len(starts) or not z_ND.shape[1]:
        return np.zeros((len(starts), z_ND.shape[1]), np.float32)
    sums = np.add.reduceat(z_ND.astype(np.float64), starts, axis=0)
    return unit_rows(sums)


def unite(parts: Sequence[Shard], sweep: Sweep = sweep_here) -> list[Shard]:
    """The same parts, such that each item is ranked by one of them, with all its images: the first that holds any."""
    held = sweep(_items, _join_items, parts, None)
    again = pc.is_in(held["item"], _repeated(held["item"]))
    torn = sorted(held.filter(again).to_pylist(), key=lambda row: (row["item"], row["part"]))
    home: dict[str, int] = {}
    given: dict[int, list[str]] = {}
    taken: dict[int, dict[int, list[str]]] = {}
    for row in torn:
        first = home.setdefault(row["item"], row["part"])
        if first != row["part"]:
            given.setdefault(row["part"], []).append(row["item"])
            taken.setdefault(first, {}).setdefault(row["part"], []).append(row["item"])
    name = {part.number: part.name for part in parts}
    return [
        replace(
            part,
            given=pa.array(given[part.number]) if part.number in given else None,
            taken={name[n]: pa.array(items) for n, items in taken.get(part.number, {}).items()},
        )
        for part in parts
    ]


def _items(part: Shard, asked: None) -> pa.Table:
    found = part.items()
    return pa.table({"item": found, "part": pa.array([part.number] * len(found), pa.int64())})


def _join_items(found: list[pa.Table], asked: None) -> pa.Table:
    return pa.concat_tables(found)


def _repeated(items: pa.ChunkedArray) -> pa.Array:
    counts = items.value_counts()
    return counts.filter(pc.greater(counts.field("counts"), 1)).field("values")

"""The two sides of an evaluation on storage: queries, read into memory, and the gallery, whose shards are parts.

A shard is read once for all views of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.embeddings import EMBEDDING, HISTOGRAM, UNTRAINED, Embeddings, vectors_of
from fashion.retrieval.items import item_columns, torn_items
from fashion.retrieval.labels.columns import CATEGORY_SCORES
from fashion.retrieval.products.score import check_finite
from fashion.retrieval.search.arrow import arrow_text
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.refinements import Blend
from fashion.storage import Store

ABOUT = ["image", "item", "domain", "category", "shard", "group"]


@dataclass(frozen=True, kw_only=True)
class View:
    """Which of a shard's vectors and images are ranked."""

    vector: str = EMBEDDING
    """Column of the vectors."""
    blend: Blend | None = None
    """Joins the vectors with the scores of the predicted categories."""
    domain: str | None = None
    """Images of this domain only."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One shard's gallery images, or their items."""

    number: int
    store: Store
    name: str
    label: str = "item"
    """What queries look for: item or category."""
    ranking: str = "image"
    """As in ProtocolSettings: image, item or centroid."""
    role: str | None = "gallery"
    """Images of this role only; None: all."""
    given: pa.Array | None = None
    """Items of this shard that another part ranks."""
    taken: dict[str, pa.Array] = field(default_factory=dict)
    """Items of this part that have images in other shards too, by the shard."""

    def open(self, views: Sequence["View | None"] = (None,)) -> "OpenShard":
        """The shard, whose columns are read when they are needed."""
        return OpenShard(self)


class OpenShard:
    """An open shard."""

    def __init__(self, shard: Shard):
        self.shard = shard
        self._file = _Rows(shard.store, shard.name, shard.role)
        self._taken = [(_Rows(shard.store, name, shard.role), items) for name, items in shard.taken.items()]

    def images(self, names: list[str]) -> pa.Table:
        """These columns of the shard's images of the role, whoever ranks them."""
        return self._file.read(names)

    def labels(self, view: View | None, *, images: bool) -> tuple[pa.Array, pa.Array | None]:
        """Of the columns of `block`, in any order."""
        if self.shard.ranking != "image":
            return self._rows(["item"], view)["item"].unique(), None
        rows = self._rows([self.shard.label, *(["image"] if images else [])], view)
        return rows[self.shard.label].combine_chunks(), rows["image"].combine_chunks() if images else None

    def block(self, view: View | None = None) -> Block:
        """The images in the shard's order, or items in ascending order."""
        view = view or View()
        vectors = [view.vector, *([CATEGORY_SCORES] if view.blend else [])]
        rows = self._rows(list(dict.fromkeys([*ABOUT, self.shard.label, *vectors])), view)
        if self.shard.ranking != "image":
            rows = rows.take(pc.sort_indices(rows, [("item", "ascending"), ("image", "ascending")]))
        z_ND = self._vectors(rows, view)
        if self.shard.ranking != "image":
            return item_columns(self.shard.number, rows.select(ABOUT), z_ND, by_mean=self.shard.ranking == "centroid")
        image, item = (rows[name].combine_chunks() for name in ("image", "item"))
        ids = pc.binary_join_element_wise(image, item, arrow_text("\0"))  # a picture may show two items
        return Block(
            number=self.shard.number, vectors=z_ND, ids=ids, images=image, about=rows.select(ABOUT), side=self._side,
            labels=rows[self.shard.label].combine_chunks(),
        )  # fmt: skip

    def _rows(self, names: list[str], view: View | None) -> pa.Table:
        """These columns of the images that the view ranks."""
        shard, domain = self.shard, view.domain if view else None
        by = [*(["item"] if shard.given is not None or shard.taken else []), *(["domain"] if domain else [])]
        needed = list(dict.fromkeys([*names, *by]))
        rows = self._file.read(needed)
        if shard.given is not None:
            rows = rows.filter(pc.invert(pc.is_in(rows["item"], shard.given)))
        taken = [(file.read(needed), items) for file, items in self._taken]
        rows = pa.concat_tables([rows, *(other.filter(pc.is_in(other["item"], items)) for other, items in taken)])
        return rows if domain is None else rows.filter(pc.equal(rows["domain"], arrow_text(domain)))

    @property
    def _side(self) -> str:
        return "gallery image" if self.shard.role == "gallery" else "catalogue image"

    def _vectors(self, rows: pa.Table, view: View) -> np.ndarray:
        """(N, D) float32 that are searched. Raises InputError where one is not finite."""
        z_ND, *by = (
            check_finite(vectors_of(rows[name]), self._side, rows["image"])
            for name in (view.vector, *([CATEGORY_SCORES] if view.blend else []))
        )
        return view.blend(z_ND, *by) if view.blend else z_ND


class _Rows:
    """The rows of a role in a shard, each column read once."""

    def __init__(self, store: Store, shard: str, role: str | None):
        self.file, self.role = store.open_table(f"{shard}.parquet"), role
        self.columns: dict[str, pa.ChunkedArray] = {}
        self.mask: pa.ChunkedArray | None = None

    def read(self, names: list[str]) -> pa.Table:
        missing = [name for name in names if name not in self.columns]
        if missing:
            role = None if self.columns else self.role
            rows = _plain(self.file.read(list(dict.fromkeys([*missing, *(["role"] if role is not None else [])]))))
            if role is not None:
                mask = pc.equal(rows["role"], arrow_text(role))
                self.mask = None if pc.all(mask, min_count=0).as_py() else mask
            rows = rows if self.mask is None else rows.filter(self.mask)
            self.columns |= dict(zip(rows.column_names, rows.columns, strict=True))
        return pa.table({name: self.columns[name] for name in names})


def read_rows(store: Store, shard: str, columns: list[str] | None = None) -> pa.Table:
    """Rows of an embedding shard."""
    return _plain(store.read_table(f"{shard}.parquet", columns))


def _plain(rows: pa.Table) -> pa.Table:
    """Dictionaries, which differ from shard to shard, are written out."""
    for n, column in enumerate(rows.schema):
        if pa.types.is_dictionary(column.type):
            rows = rows.set_column(n, column.name, rows[column.name].cast(column.type.value_type))
    return rows


def unite(parts: Sequence[Shard], items: pa.Table) -> list[Shard]:
    """The same parts, such that each item is ranked by one of them, with all its images: the first that holds any.
    `items`: distinct pairs of `item` and `part`, of all parts."""
    moved = torn_items(items)
    name = {part.number: part.name for part in parts}
    given: dict[int, list[pa.Array]] = {}
    for others in moved.values():
        for part, own in others.items():
            given.setdefault(part, []).append(own)
    return [
        replace(
            part,
            given=pa.concat_arrays(given[part.number]) if part.number in given else None,
            taken={name[n]: own for n, own in moved.get(part.number, {}).items()},
        )
        for part in parts
    ]


def read_queries(store: Store, shards: list[str]) -> Embeddings:
    """The queries of the shards, ordered by image so that no sum depends on the shards, with every kind of vector that
    the shards have, the scores of predicted categories among them. Raises InputError where a vector is not finite."""
    tables = []
    for shard in shards:
        rows = read_rows(store, shard)
        tables.append(rows.filter(pc.equal(rows["role"], "query")))
    rows = pa.concat_tables(tables)
    rows = rows.take(pc.sort_indices(rows, [("image", "ascending"), ("item", "ascending")]))
    names = [name for name in (EMBEDDING, UNTRAINED, HISTOGRAM, CATEGORY_SCORES) if name in rows.column_names]
    return Embeddings(
        about=rows.drop_columns(names),
        vectors={name: check_finite(vectors_of(rows[name]), "query", rows["image"]) for name in names},
    )

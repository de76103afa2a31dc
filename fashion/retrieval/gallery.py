"""The two sides of an evaluation on storage: queries, read into memory, and the gallery, whose shards are parts.

A shard is read once for all views of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.embeddings import EMBEDDING, HISTOGRAM, UNTRAINED, Embeddings, vectors_of
from fashion.retrieval.items import item_columns, torn_items
from fashion.retrieval.labels.columns import CATEGORY_SCORES
from fashion.retrieval.search.arrow import arrow_text
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.refinements import Blend
from fashion.retrieval.search.score import check_finite
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

    def open(self, views: Sequence[View | None] = (None,)) -> "OpenShard":
        """Read what the views need; None: all images by their embedding."""
        vectors = {view.vector if view else EMBEDDING for view in views}
        if any(view and view.blend for view in views):
            vectors.add(CATEGORY_SCORES)
        columns = [*dict.fromkeys([*ABOUT, self.label, *(["role"] if self.role else []), *sorted(vectors)])]
        taken = [(self._read(name, columns), items) for name, items in self.taken.items()]
        return OpenShard(
            shard=self,
            own=self._read(self.name, columns),
            taken=[other.filter(pc.is_in(other["item"], items)) for other, items in taken],
        )

    def _read(self, name: str, columns: list[str]) -> pa.Table:
        rows = read_rows(self.store, name, columns)
        if self.role is None:
            return rows
        wanted = pc.equal(rows["role"], arrow_text(self.role))
        return rows if pc.all(wanted, min_count=0).as_py() else rows.filter(wanted)


@dataclass(frozen=True, kw_only=True)
class OpenShard:
    """A shard that has been read."""

    shard: Shard
    own: pa.Table  # its images of the role, whoever ranks them
    taken: list[pa.Table]  # images of other shards that it ranks

    def block(self, view: View | None = None) -> Block:
        """The images in the shard's order, or items in ascending order."""
        view = view or View()
        rows = self._ranked
        if view.domain is not None:
            rows = rows.filter(pc.equal(rows["domain"], arrow_text(view.domain)))
        if self.shard.ranking != "image":
            return item_columns(
                self.shard.number,
                rows,
                lambda rows: self._vectors(rows, view),
                ABOUT,
                by_mean=self.shard.ranking == "centroid",
            )
        image, item = (rows[name].combine_chunks() for name in ("image", "item"))
        ids = pc.binary_join_element_wise(image, item, arrow_text("\0"))  # a picture may show two items
        return Block(
            number=self.shard.number, vectors=self._vectors(rows, view), ids=ids, images=image,
            labels=rows[self.shard.label].combine_chunks(), about=rows.select(ABOUT), side=self._side,
        )  # fmt: skip

    @cached_property
    def _ranked(self) -> pa.Table:
        rows, given = self.own, self.shard.given
        if given is not None:
            rows = rows.filter(pc.invert(pc.is_in(rows["item"], given)))
        return pa.concat_tables([rows, *self.taken])

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


def read_rows(store: Store, shard: str, columns: list[str] | None = None) -> pa.Table:
    """Rows of an embedding shard; dictionaries, which differ from shard to shard, are written out."""
    rows = store.read_table(f"{shard}.parquet", columns)
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

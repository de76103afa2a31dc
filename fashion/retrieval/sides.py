"""The two sides of an evaluation, read from embedding shards: queries into memory, the gallery as parts."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.embeddings import EMBEDDING, HISTOGRAM, UNTRAINED, Embeddings, vectors_of
from fashion.retrieval.finite import check_finite
from fashion.retrieval.gallery import ABOUT, Shard, read_rows
from fashion.retrieval.labels.columns import CATEGORY_SCORES
from fashion.retrieval.search.sweep import Sweep
from fashion.seeds import generator
from fashion.storage import Store


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


def sample_pairs(queries: Embeddings, parts: list[Shard], items: int, seed: int, sweep: Sweep) -> Embeddings:
    """A query and a gallery image, the first by name, of each of `items` of the queries' items, drawn by the seed."""
    chosen = pa.array(
        generator(seed, "map").permutation(np.unique(queries.column("item").astype(str)))[:items], pa.string()
    )
    table = queries.about.select(ABOUT).append_column("row", pa.array(np.arange(len(queries))))
    first = _first(table.filter(pc.is_in(table["item"], chosen)))
    own = queries.take(first["row"].to_numpy())
    found = sweep(_first_images, _join_first, parts, chosen)
    return Embeddings(
        about=pa.concat_tables([own.about.select(ABOUT), found.select(ABOUT)]),
        vectors={EMBEDDING: np.concatenate([own.vectors[EMBEDDING], vectors_of(found[EMBEDDING])])},
    )


def _first_images(part: Shard, items: pa.Array) -> pa.Table:
    rows = part.images([*ABOUT, EMBEDDING])
    return _first(rows.filter(pc.is_in(rows["item"], items)))


def _join_first(found: list[pa.Table], items: pa.Array) -> pa.Table:
    return _first(pa.concat_tables(found))


def _first(rows: pa.Table) -> pa.Table:
    """The first image of each item, by name."""
    rows = rows.take(pc.sort_indices(rows, [("item", "ascending"), ("image", "ascending")]))
    item = rows["item"].to_numpy(zero_copy_only=False)
    return rows.take(pa.array(np.flatnonzero(np.r_[len(item) > 0, item[1:] != item[:-1]])))

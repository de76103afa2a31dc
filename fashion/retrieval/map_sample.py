"""A few items of an evaluation, a query and a gallery image of each, for the report's map of embeddings."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.embeddings import EMBEDDING, Embeddings, vectors_of
from fashion.retrieval.gallery import ABOUT
from fashion.seeds import generator


def sample_items(queries: Embeddings, items: int, seed: int) -> pa.Array:
    """So many of the queries' items, drawn by the seed."""
    return pa.array(
        generator(seed, "map").permutation(np.unique(queries.column("item").astype(str)))[:items], pa.string()
    )


def first_images(rows: pa.Table, items: pa.Array) -> pa.Table:
    """The first image, by name, of each of these items that the rows have."""
    rows = rows.filter(pc.is_in(rows["item"], items))
    rows = rows.take(pc.sort_indices(rows, [("item", "ascending"), ("image", "ascending")]))
    item = rows["item"].to_numpy(zero_copy_only=False)
    return rows.take(pa.array(np.flatnonzero(np.r_[len(item) > 0, item[1:] != item[:-1]])))


def map_sample(queries: Embeddings, gallery: pa.Table, items: pa.Array) -> Embeddings:
    """The first query image of each of the items, and its `gallery` image: first images with their embeddings."""
    table = queries.about.select(ABOUT).append_column("row", pa.array(np.arange(len(queries))))
    own = queries.take(first_images(table, items)["row"].to_numpy())
    return Embeddings(
        about=pa.concat_tables([own.about.select(ABOUT), gallery.select(ABOUT)]),
        vectors={EMBEDDING: np.concatenate([own.vectors[EMBEDDING], vectors_of(gallery[EMBEDDING])])},
    )

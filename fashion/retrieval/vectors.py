"""Metrics of vectors that are in memory, whatever they come from."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from fashion.json_values import to_plain
from fashion.retrieval.metrics import summary
from fashion.retrieval.rank import rank
from fashion.retrieval.search.block import Block
from fashion.retrieval.search.parts import MemoryPart
from fashion.retrieval.search.queries import Queries


def vector_metrics(
    query_QD: np.ndarray,
    query_items: Sequence,
    gallery_GD: np.ndarray,
    gallery_items: Sequence,
    *,
    ks: tuple[int, ...] = (1, 5, 10, 20),
) -> dict:
    """recall@k, mAP, R-precision and MRR over the whole gallery, exactly, as metrics.json has them: `recall` (k as text ->
    fraction), `map`, `r_precision`, `mrr`.

    Images match where their items are equal; the score is the inner product, so give unit-length vectors for the cosine.
    Raises InputError where a vector is not finite.
    """
    ids = pa.array(np.arange(len(gallery_GD)))
    vectors = np.ascontiguousarray(gallery_GD, np.float32)
    part = MemoryPart(columns=Block(number=0, vectors=vectors, ids=ids, labels=pa.array(gallery_items)))
    return to_plain(summary(rank(Queries.of(query_QD, query_items), [part], 0).measures, ks))

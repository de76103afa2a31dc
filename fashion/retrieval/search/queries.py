"""Which columns of a gallery match a query, or are left out of its ranking, found block by block from labels."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion.retrieval.products.score import check_finite, lengths


@dataclass(frozen=True)
class Pairs:
    """Pairs of a query and a column, ordered by query, then column."""

    query: np.ndarray  # (N,) int64
    column: np.ndarray  # (N,) int64


@dataclass(frozen=True, kw_only=True)
class Queries:
    """Q queries and what each is looking for. A query with label null matches nothing."""

    vectors: np.ndarray  # (Q, D) float32
    codes: np.ndarray  # (Q,) int64, place of the label in `labels`; -1 for none
    labels: pa.Array  # distinct
    wanted: tuple[np.ndarray, np.ndarray] | None = None
    """With annotated pairs: (n,) places in `images`, and (Q + 1,) where each query's begin. Only these images match,
    and the other columns of its label are left out of its ranking."""
    images: pa.Array | None = None  # distinct, of `wanted`

    @classmethod
    def of(cls, vectors: np.ndarray, labels: Any, pairs: list[list[str]] | None = None) -> "Queries":
        """`labels` (Q,): items or categories of any type; `pairs`: the images that each query is annotated to match.
        Raises InputError where a vector is not finite."""
        labels = _array(labels)
        coded = labels.dictionary_encode()
        codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        vectors = check_finite(np.ascontiguousarray(vectors, np.float32), "query")
        queries = cls(vectors=vectors, codes=codes, labels=coded.dictionary)
        if pairs is None:
            return queries
        at = np.r_[0, np.cumsum([len(row) for row in pairs])].astype(np.int64)
        coded = pa.array([image for row in pairs for image in row], pa.string()).dictionary_encode()
        wanted = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return replace(queries, wanted=(wanted, at), images=coded.dictionary)

    @classmethod
    def unlabelled(cls, vectors: np.ndarray) -> "Queries":
        """Queries that match nothing. Imports no pandas, as `of` does."""
        vectors = check_finite(np.ascontiguousarray(vectors, np.float32), "query")
        return cls(vectors=vectors, codes=np.full(len(vectors), -1), labels=pa.nulls(0, pa.string()))

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(Q,) Euclidean lengths of the vectors."""
        return lengths(self.vectors)

    def take(self, rows: np.ndarray | slice) -> "Queries":
        """The queries of these rows."""
        wanted = self.wanted
        if wanted is not None:
            counts = np.diff(wanted[1])[rows]
            wanted = wanted[0][spans(wanted[1][rows], counts)], np.r_[0, np.cumsum(counts)]
        return replace(self, vectors=self.vectors[rows], codes=self.codes[rows], wanted=wanted)


def relate(queries: Queries, labels: pa.Array, images: pa.Array | None) -> tuple[Pairs, Pairs]:
    """The pairs that match and the pairs that are left out, in a block whose columns have these labels (and images)."""
    same = _pairs(queries.codes, places(labels, queries.labels))
    if queries.wanted is None:
        return same, Pairs(np.empty(0, np.int64), np.empty(0, np.int64))
    wanted, at = queries.wanted
    annotated = _pairs(wanted, places(images, queries.images))
    owner = np.repeat(np.arange(len(queries)), np.diff(at))[annotated.query]
    width = len(labels)
    match = np.unique(owner * width + annotated.column)
    rest = np.setdiff1d(same.query * width + same.column, match, assume_unique=True)
    return Pairs(*np.divmod(match, width)), Pairs(*np.divmod(rest, width))


def count_relations(queries: Queries, labels: pa.Array, images: pa.Array | None) -> tuple[np.ndarray, np.ndarray]:
    """(Q,) numbers of columns that match, and that are left out; in memory O(Q + columns) for plain labels."""
    if queries.wanted is not None:
        match, rest = (np.bincount(pairs.query, minlength=len(queries)) for pairs in relate(queries, labels, images))
        return match, rest
    codes = places(labels, queries.labels)
    per_label = np.bincount(codes[codes >= 0], minlength=len(queries.labels) + 1)  # the last, for no label, stays empty
    return per_label[queries.codes], np.zeros(len(queries), np.int64)


def is_match(queries: Queries, labels: pa.Array, images: pa.Array | None, top: np.ndarray) -> np.ndarray:
    """(Q, k) whether each listed column (-1: none) matches its query; `labels` and `images` are of the columns."""
    if not len(labels):
        return np.zeros(top.shape, bool)
    listed = top >= 0
    if queries.wanted is None:
        codes = places(labels, queries.labels)
        return listed & (codes[top] == queries.codes[:, None]) & (queries.codes[:, None] >= 0)
    wanted, at = queries.wanted
    assert queries.images is not None  # they come with `wanted`
    width = len(queries.images) + 1
    owner = np.repeat(np.arange(len(queries)), np.diff(at))
    place = places(images, queries.images)[top]
    asked = np.arange(len(queries))[:, None] * width + np.where(place >= 0, place, width - 1)
    return listed & np.isin(asked, owner * width + wanted)


def places(values: pa.Array, among: pa.Array) -> np.ndarray:
    """(N,) int64 place of each value in `among`, -1 where it is not there or null."""
    if not len(among):
        return np.full(len(values), -1, np.int64)
    place = pc.index_in(values, value_set=among, skip_nulls=True)
    return pc.fill_null(place, -1).to_numpy(zero_copy_only=False).astype(np.int64)


def spans(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Concatenated ranges: start .. start + count - 1 for each."""
    ends = np.cumsum(counts)
    return np.repeat(starts - (ends - counts), counts) + np.arange(ends[-1] if len(ends) else 0)


def _pairs(codes: np.ndarray, others: np.ndarray) -> Pairs:
    """Pairs of rows with equal codes; negative codes are equal to none."""
    order = np.argsort(others, kind="stable")
    ordered = others[order]
    low = np.searchsorted(ordered, codes, side="left")
    counts = np.where(codes >= 0, np.searchsorted(ordered, codes, side="right") - low, 0)
    return Pairs(np.repeat(np.arange(len(codes)), counts), order[spans(low, counts)])


def _array(values: Any) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    return values if isinstance(values, pa.Array) else pa.array(values)

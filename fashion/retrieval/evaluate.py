"""Score embeddings under a protocol: which rows are queries and gallery, how they rank, and every number of it."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.retrieval.embeddings import EMBEDDING, HISTOGRAM, UNTRAINED, Embeddings
from fashion.retrieval.metrics import average_precision, chance, summary
from fashion.retrieval.protocol import (
    ProtocolSettings,
    Relevance,
    describe,
    gallery_splits,
    match_labels,
    match_pairs,
)
from fashion.retrieval.rank import Ranking, rank

BASELINES = {UNTRAINED: "untrained", HISTOGRAM: "colour histogram"}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The numbers, and the rankings of the trained network that they come from."""

    metrics: dict  # recall, map, mrr, queries, gallery, unmatched_queries, protocol, baselines
    queries: Embeddings
    gallery: Embeddings  # in ascending image id
    ranking: Ranking
    shown: np.ndarray  # (C,) gallery row that stands for each ranked column: itself, or an item's first image
    relevance: Relevance


def needed_splits(settings: ProtocolSettings, table: ItemTable) -> list[str]:
    """The splits whose images take part."""
    return list(dict.fromkeys((settings.query_split, *gallery_splits(settings, table.benchmark))))


def evaluate(
    embeddings: dict[str, Embeddings], table: ItemTable, settings: ProtocolSettings, *, crop: str
) -> Evaluation:
    """`embeddings` by split -> metrics and rankings. Raises InputError where a side is empty or has no pairs."""
    queries = _with_role(embeddings[settings.query_split], "query")
    gallery = _joined([_with_role(embeddings[s], "gallery") for s in gallery_splits(settings, table.benchmark)])
    gallery = gallery.take(np.argsort(gallery.column("image").astype(str), kind="stable"))
    protocol = describe(settings, benchmark=table.benchmark, crop=crop)
    for name, side in (("queries", queries), ("gallery images", gallery)):
        if not len(side):
            raise InputError(
                f"protocol: no {name} in {settings.query_split} against {protocol['gallery_splits']} of "
                f"{table.store.uri}; choose other splits"
            )
    label = "category" if table.positives == "category" else "item"
    if settings.ranking != "image" and label == "category":
        raise InputError(
            f"protocol.ranking: found {settings.ranking}, expected image: this benchmark matches by category"
        )
    groups, shown = None, np.arange(len(gallery))
    if settings.ranking != "image":
        # Columns are items, in the order of their names; rows of the gallery are sorted by item for it.
        gallery = gallery.take(np.argsort(gallery.column("item").astype(str), kind="stable"))
        names, shown, groups = np.unique(gallery.column("item").astype(str), return_index=True, return_inverse=True)
        relevance = match_labels(queries.column("item").astype(str), names)
    else:
        relevance = match_labels(_labels(queries, label), _labels(gallery, label))
    if settings.positives == "pair" and table.positives == "item":
        pairs = [row or [] for row in queries.about["pairs"].to_pylist()]
        if not any(pairs):
            raise InputError(f"protocol.positives: found pair, but {table.store.uri} has no annotated pairs; set item")
        relevance = match_pairs(pairs, gallery.column("image"), relevance)
    rankings = {}
    for name, z_QD in queries.vectors.items():
        z_GD, by_best = gallery.vectors[name], groups
        if settings.ranking == "centroid":
            z_GD, by_best = centroids(z_GD, groups), None
        rankings[name] = rank(z_QD, z_GD, relevance, max(settings.ks), by_best)
    columns = len(shown) - np.diff(relevance.ignore_at)
    metrics = {
        "protocol": protocol,
        "queries": len(queries),
        "gallery": len(gallery),
        "unmatched_queries": int((relevance.counts() == 0).sum()),
        **summary(rankings[EMBEDDING], settings.ks),
        "baselines": {
            title: summary(rankings[name], settings.ks) for name, title in BASELINES.items() if name in rankings
        }
        | {"chance": chance(relevance.counts(), columns, settings.ks)},
    }
    return Evaluation(
        metrics=metrics, queries=queries, gallery=gallery, ranking=rankings[EMBEDDING], shown=shown, relevance=relevance
    )


def centroids(z_GD: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(C, D) the mean of each group's rows, brought to unit length; `groups` (G,) ascending."""
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    sums = np.add.reduceat(z_GD.astype(np.float64), starts)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return (sums / np.maximum(lengths, 1e-12)).astype(np.float32)


def query_table(found: Evaluation) -> pa.Table:
    """One row a query: what it is, the rank of its best match (null without one), its average precision, its top."""
    first, top = found.ranking.first(), found.ranking.top
    image, item = found.gallery.column("image"), found.gallery.column("item")
    rows = [found.shown[row[row >= 0]] for row in top]
    correct = [_correct(found.relevance, q, row[row >= 0]) for q, row in enumerate(top)]
    return pa.table(
        {
            **{name: found.queries.about[name] for name in ("image", "item", "domain", "category")},
            "rank": pa.array([int(r) or None for r in first], pa.int64()),
            "average_precision": average_precision(found.ranking),
            "top_images": pa.array([image[row].tolist() for row in rows], pa.list_(pa.string())),
            "top_items": pa.array([item[row].tolist() for row in rows], pa.list_(pa.string())),
            "top_scores": pa.array([s[np.isfinite(s)].tolist() for s in found.ranking.scores], pa.list_(pa.float32())),
            "top_correct": pa.array(correct, pa.list_(pa.bool_())),
        }
    )


def _correct(relevance: Relevance, query: int, columns: np.ndarray) -> list[bool]:
    match = relevance.match[relevance.match_at[query] : relevance.match_at[query + 1]]
    return np.isin(columns, match).tolist()


def _with_role(embeddings: Embeddings, role: str) -> Embeddings:
    return embeddings.take(np.flatnonzero(embeddings.column("role") == role))


def _joined(parts: list[Embeddings]) -> Embeddings:
    vectors = {name: np.concatenate([part.vectors[name] for part in parts]) for name in parts[0].vectors}
    return Embeddings(about=pa.concat_tables([part.about for part in parts]), vectors=vectors)


def _labels(side: Embeddings, name: str) -> np.ndarray:
    # An image without a category matches none: its own id can be no other's label.
    labels = side.about[name].to_pylist()
    return np.array([f"={x}" if x is not None else f"?{i}" for x, i in zip(labels, side.column("image"), strict=True)])

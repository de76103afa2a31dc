"""What an evaluation leaves behind: metrics.json, queries.parquet and report.html."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa

from fashion.data.codecs import encode_jpeg
from fashion.data.decode import shrunk
from fashion.data.rows import flatten
from fashion.data.table import ItemTable
from fashion.retrieval.embeddings import EMBEDDING
from fashion.retrieval.evaluate import Evaluation
from fashion.retrieval.gate.gate import Gate
from fashion.retrieval.labels.evaluate import LabelResult
from fashion.retrieval.map_layout import pca_2d
from fashion.retrieval.metrics_record import Metrics, Origin
from fashion.retrieval.report import (
    MapPoint,
    ReportData,
    label_examples,
    pictured,
    render_report,
    report_content,
)
from fashion.storage import Store

METRICS, QUERIES, REPORT = "metrics.json", "queries.parquet", "report.html"
THUMBNAIL = 112  # pixels, the longer side
LARGE = 260  # of pictures that landmarks are drawn on
PREDICTED = ("category_top", "category_rank", "attribute_top")


def write_results(
    out: Store,
    evaluation: Evaluation,
    origin: Origin,
    table: ItemTable,
    history: list[dict],
    *,
    seed: int,
    gate: Gate,
    labels: LabelResult | None = None,
) -> Metrics:
    """Write the three files, metrics.json last; returns its content. `labels`: what the network says of labels, if it does.

    Raises InputError, once all is written, where the gate's earlier evaluation cannot be compared with.
    """
    metrics = replace(evaluation.metrics, labels=labels.metrics if labels else None, **vars(origin))
    queries = query_table(evaluation)
    out.write_table(QUERIES, queries.replace_schema_metadata({"network": metrics.model.fingerprint}))
    metrics, fault = gate.compare(metrics, queries)
    listed = evaluation.ranking.listed
    categories = dict(zip(*(listed[name].to_pylist() for name in ("image", "category")), strict=True))
    report = ReportData(
        metrics=metrics,
        history=history,
        trend=gate.remember(metrics),
        map_points=_map_points(evaluation),
        labelled=label_examples(labels.examples) if labels else {},
        **report_content(queries, categories, seed=seed),
    )
    sides = [evaluation.queries.about, evaluation.ranking.listed, evaluation.sample.about]
    shown = list(labels.examples.values()) if labels else []
    large = {row.image for rows in report.labelled.values() for row in rows}
    report = replace(report, thumbnails=_thumbnails([*sides, *shown], table, set(pictured(report)), large))
    out.write(REPORT, render_report(report).encode())
    out.write_value(METRICS, metrics)
    if fault:
        raise fault
    return metrics


def query_table(evaluation: Evaluation) -> pa.Table:
    """One row a query: what it is, the rank of its best match (null without one), its precisions, its top, and where the
    network predicts labels the best of them and the rank of its category."""
    measures, top, listed = evaluation.ranking.measures, evaluation.ranking.top, evaluation.ranking.listed
    at = np.r_[0, np.cumsum((top >= 0).sum(1))].astype(np.int32)
    some = top >= 0

    def lists(values: pa.Array | pa.ChunkedArray) -> pa.ListArray:
        return pa.ListArray.from_arrays(at, values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)

    rows = pa.array(top[some])
    return pa.table(
        {
            **{name: evaluation.queries.about[name] for name in ("image", "item", "domain", "category")},
            **{
                name: evaluation.queries.about[name]
                for name in PREDICTED
                if name in evaluation.queries.about.column_names
            },
            "rank": pa.array([int(r) or None for r in measures.first], pa.int64()),
            "average_precision": measures.average_precision,
            "r_precision": measures.r_precision,
            "top_images": lists(listed["image"].take(rows)),
            "top_items": lists(listed["item"].take(rows)),
            "top_scores": lists(pa.array(evaluation.ranking.scores[some], pa.float32())),
            "top_correct": lists(pa.array(evaluation.correct[some])),
        }
    )


def _map_points(evaluation: Evaluation) -> list[MapPoint]:
    """The sampled images, laid out by their two principal components."""
    rows = evaluation.sample.about.select(["image", "item", "domain", "category"])
    xy = pca_2d(evaluation.sample.vectors[EMBEDDING])
    return [MapPoint(x=float(x), y=float(y), **row) for (x, y), row in zip(xy, rows.to_pylist(), strict=True)]


def _thumbnails(sides: list[pa.Table], table: ItemTable, images: set[str], large: set[str]) -> dict[str, bytes]:
    """Small JPEGs of the named images, less small ones of `large`; reads only the row groups that hold them, which the
    rows of `sides` tell."""
    places = defaultdict(set)
    for side in sides:
        for row in side.select(["image", "shard", "group"]).to_pylist():
            if row["image"] in images:
                places[row["shard"], row["group"]].add(row["image"])
    small = {}
    for (shard, group), wanted in sorted(places.items()):
        rows = flatten(table.read(shard, group)).select(["image", "jpeg"])
        for row in rows.filter(pa.compute.is_in(rows["image"], pa.array(wanted))).to_pylist():
            side = LARGE if row["image"] in large else THUMBNAIL
            small[row["image"]] = encode_jpeg(shrunk(row["jpeg"], side), quality=80)
    return small

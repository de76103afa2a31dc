"""What an evaluation leaves behind: metrics.json, queries.parquet and report.html."""

import io
from collections import defaultdict

import numpy as np
import pyarrow as pa
from PIL import Image

from fashion.data.decode import decode
from fashion.data.table import ItemTable, flatten
from fashion.retrieval.embeddings import EMBEDDING
from fashion.retrieval.evaluate import Evaluation, query_table
from fashion.retrieval.figures import pca_2d
from fashion.retrieval.report import Hit, MapPoint, QueryRow, ReportData, choose_rows, render_report
from fashion.seeds import generator
from fashion.storage import Store

METRICS, QUERIES, REPORT = "metrics.json", "queries.parquet", "report.html"
SHOWN_TOP = 5
SHOWN_ROWS = 12  # best, middling and worst each
MAP_POINTS = 240
THUMBNAIL = 112  # pixels, the longer side


def write_results(
    out: Store, found: Evaluation, about: dict, table: ItemTable, history: list[dict], *, seed: int
) -> dict:
    """Write the three files, metrics.json last; returns its content. `about`: model, data, seed, versions, created."""
    metrics = found.metrics | about
    queries = query_table(found)
    out.write_table(QUERIES, queries.replace_schema_metadata({"network": metrics["model"]["fingerprint"]}))
    rows = choose_rows([_row(row) for row in queries.to_pylist()], SHOWN_ROWS, seed)
    points = _map_points(found, seed)
    shown = {row.image for row in rows} | {hit.image for row in rows for hit in row.top} | {p.image for p in points}
    report = ReportData(
        metrics=metrics, history=history, queries=rows, map_points=points, thumbnails=_thumbnails(found, table, shown)
    )
    out.write(REPORT, render_report(report).encode())
    out.write_json(METRICS, metrics)
    return metrics


def _row(row: dict) -> QueryRow:
    top = zip(row["top_images"], row["top_items"], row["top_scores"], row["top_correct"], strict=True)
    hits = [Hit(image=i, item=t, score=s, correct=c) for i, t, s, c in list(top)[:SHOWN_TOP]]
    names = ("image", "item", "domain", "category", "rank", "average_precision")
    return QueryRow(**{name: row[name] for name in names}, top=hits)


def _map_points(found: Evaluation, seed: int) -> list[MapPoint]:
    """A fair sample of items, with a query and a gallery image each, laid out by their two principal components."""
    queries, gallery = found.queries, found.gallery
    items = np.unique(queries.column("item").astype(str))
    chosen = set(generator(seed, "map").permutation(items)[: MAP_POINTS // 2].tolist())
    parts = []
    for side in (queries, gallery):
        item = side.column("item").astype(str)
        _, first = np.unique(item, return_index=True)
        parts.append(side.take(first[[name in chosen for name in item[first]]]))
    about = pa.concat_tables([part.about.select(["image", "item", "domain", "category"]) for part in parts])
    xy = pca_2d(np.concatenate([part.vectors[EMBEDDING] for part in parts]))
    return [MapPoint(x=float(x), y=float(y), **row) for (x, y), row in zip(xy, about.to_pylist(), strict=True)]


def _thumbnails(found: Evaluation, table: ItemTable, images: set[str]) -> dict[str, bytes]:
    """Small JPEGs of the named images; reads only the row groups that hold them."""
    places = defaultdict(set)
    for side in (found.queries, found.gallery):
        for row in side.about.select(["image", "shard", "group"]).to_pylist():
            if row["image"] in images:
                places[row["shard"], row["group"]].add(row["image"])
    small = {}
    for (shard, group), wanted in sorted(places.items()):
        rows = flatten(table.read(shard, group)).select(["image", "jpeg"])
        for row in rows.filter(pa.compute.is_in(rows["image"], pa.array(wanted))).to_pylist():
            picture = Image.fromarray(decode(row["jpeg"]).transpose(1, 2, 0))
            picture.thumbnail((THUMBNAIL, THUMBNAIL))
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=80)
            small[row["image"]] = buffer.getvalue()
    return small

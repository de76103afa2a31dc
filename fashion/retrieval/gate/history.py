"""The history of evaluations: a folder of Parquet files, one row and one file an evaluation.

A file of its own for each row makes adding one a single whole-file write: jobs that end at the same moment cannot lose
each other's rows, as they would if each read and rewrote one table. Any Parquet reader takes the folder as a table.
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from fashion.retrieval.metrics_record import Metrics
from fashion.storage import READERS, Store

IDENTITY = ("model", "data", "query_set", "gallery_set", "protocol")
TEXT = ("created", "model", "run", "data", "query_set", "gallery_set", "protocol", "against", "verdict")
WHOLE = ("queries", "gallery", "unmatched_queries")


def history_row(metrics: Metrics) -> dict:
    """The row of an evaluation."""
    comparison = metrics.comparison
    numbers = {f"recall@{k}": value for k, value in sorted(metrics.recall.items(), key=lambda pair: int(pair[0]))}
    return {
        "created": metrics.created,
        "model": metrics.model.fingerprint,
        "run": metrics.model.run,
        "data": metrics.data.fingerprint,
        "query_set": metrics.query_set,
        "gallery_set": metrics.gallery_set,
        "protocol": json.dumps(metrics.protocol, sort_keys=True, ensure_ascii=False),
        **{name: getattr(metrics, name) for name in WHOLE},
        **numbers,
        **{name: getattr(metrics, name) for name in ("map", "r_precision", "mrr", "median_rank")},
        **(metrics.labels.headline if metrics.labels else {}),
        "against": comparison and comparison.against.model,
        "verdict": comparison and comparison.verdict,
    }


def record(history: Store, row: dict) -> None:
    """Add the row, or bring it up to date: the same model on the same data by the same protocol stays one row.

    It keeps the time of its first evaluation, and its verdict where there is no new one.
    """
    name = f"evaluation-{_key(row)}.parquet"
    if history.exists(name):
        earlier = history.read_table(name).to_pylist()[0]
        row = row | {"created": earlier["created"]}
        if row["verdict"] is None:
            row = row | {"against": earlier["against"], "verdict": earlier["verdict"]}
        if row == earlier:
            return
    history.write_table(name, pa.Table.from_pylist([row], schema=_schema(row)))


def read_history(history: Store) -> list[dict]:
    """All rows, oldest first."""
    names = [name for name in history.names() if name.endswith(".parquet")]
    with ThreadPoolExecutor(READERS) as pool:
        tables = list(pool.map(history.read_table, names))
    rows = [row for table in tables for row in table.to_pylist()]
    return sorted(rows, key=lambda row: (row["created"] or "", _key(row)))


def trend(rows: list[dict], metrics: Metrics) -> list[dict]:
    """Those rows that count as `metrics` does: the same protocol."""
    protocol = history_row(metrics)["protocol"]
    return [row for row in rows if row["protocol"] == protocol]


def _key(row: dict) -> str:
    parts = json.dumps([row[name] for name in IDENTITY])
    return hashlib.blake2b(parts.encode(), digest_size=8).hexdigest()


def _schema(row: dict) -> pa.Schema:
    kinds = {**dict.fromkeys(TEXT, pa.string()), **dict.fromkeys(WHOLE, pa.int64())}
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in row])

"""An earlier evaluation, read back from where it was written: its numbers and its row for each query."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from fashion.errors import InputError
from fashion.retrieval.labels.numbers import LabelNumbers
from fashion.storage import Store

METRICS, QUERIES = "metrics.json", "queries.parquet"
COLUMNS = ("image", "item", "rank", "average_precision", "r_precision")  # r_precision: not in older files


@dataclass(frozen=True, kw_only=True)
class Model:
    """Whose evaluation it is."""

    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Data:
    """What it was evaluated on."""

    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class ScoredMetrics:
    """Of metrics.json, what an evaluation is compared by; None where an older version did not write it."""

    model: Model
    data: Data = field(default_factory=Data)
    recall: dict[str, float] = field(default_factory=dict)
    queries: int
    gallery: int | None = None
    query_set: str | None = None
    gallery_set: str | None = None
    protocol: dict[str, Any] = field(default_factory=dict)
    created: str | None = None
    labels: LabelNumbers | None = None


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What the gate needs of an evaluation."""

    uri: str  # where it lies, for people
    metrics: ScoredMetrics
    queries: pa.Table  # one row a query, of COLUMNS


def read_earlier(uri: str) -> Scored:
    """The evaluation at `uri`: a metrics.json with its queries.parquet beside it, a folder of both, or a run's folder.

    Raises InputError where they are not there, or are not of one evaluation.
    """
    folder, name = Store(uri), METRICS
    if uri.endswith(".json"):
        parent, _, name = folder.uri.rpartition("/")
        folder = Store(parent)
    elif not folder.exists(METRICS):
        folder = folder / "evaluation"
    for needed in (name, QUERIES):
        if not folder.exists(needed):
            raise InputError(
                f"against: {uri}: expected a {METRICS} with {QUERIES} beside it, a folder that holds them, or a run's "
                f"folder; {folder.uri}/{needed} is not there; evaluate that run first"
            )
    try:
        metrics = folder.read_value(name, ScoredMetrics)
    except InputError as fault:
        raise InputError(f"against: {folder.uri}: not an evaluation: {fault}") from None
    fingerprint, queries = metrics.model.fingerprint, folder.read_table(QUERIES)
    queries = queries.select([column for column in COLUMNS if column in queries.column_names])
    missing = [column for column in COLUMNS[:4] if column not in queries.column_names]
    if missing:
        raise InputError(f"against: {folder.uri}/{QUERIES}: has no column {missing[0]}; evaluate that run again")
    network = (queries.schema.metadata or {}).get(b"network", fingerprint.encode()).decode()
    if network != fingerprint or len(queries) != metrics.queries:
        raise InputError(
            f"against: {folder.uri}: {name} is of network {fingerprint} and {metrics.queries} queries, "
            f"{QUERIES} of {network} and {len(queries)}; evaluate that run again"
        )
    return Scored(uri=f"{folder.uri}/{name}", metrics=metrics, queries=queries)

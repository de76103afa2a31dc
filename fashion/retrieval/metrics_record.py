"""What metrics.json says of an evaluation; what an older one does not say takes its default."""

from dataclasses import dataclass, field
from typing import Any

from fashion.json_values import left_out
from fashion.retrieval.gate.comparison import Comparison
from fashion.retrieval.groups import GroupSummary, Intervals
from fashion.retrieval.labels.numbers import LabelMetrics
from fashion.retrieval.metrics import Summary


@dataclass(frozen=True, kw_only=True)
class Model:
    """The network that was evaluated."""

    fingerprint: str = ""
    network: dict[str, Any] = field(default_factory=dict)  # its settings
    epoch: int | None = None  # from 1
    run: str | None = None


@dataclass(frozen=True, kw_only=True)
class Data:
    """The item table."""

    uri: str = ""
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What was evaluated, and with what."""

    model: Model
    data: Data
    seed: int
    versions: dict[str, str]
    created: str


@dataclass(frozen=True, kw_only=True)
class _Asked:
    protocol: dict[str, Any] = field(default_factory=dict)  # see protocol.describe
    queries: int = 0
    unmatched_queries: int = 0


@dataclass(frozen=True, kw_only=True)
class Metrics(Summary, _Asked):
    """The whole of metrics.json: fields of the last base come first. Those of `Origin` and below `baselines` are filled in
    when the results are written."""

    median_rank: float | None = None
    intervals: Intervals | None = None
    by_category: list[GroupSummary] = field(default_factory=list)
    by_clothes_type: list[GroupSummary] = field(default_factory=list)
    gallery: int = 0
    query_set: str | None = None
    gallery_set: str | None = None
    by_domains: list[GroupSummary] = field(default_factory=list)
    baselines: dict[str, Summary] = field(default_factory=dict)
    labels: LabelMetrics | None = left_out()
    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    seed: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    created: str | None = None
    comparison: Comparison | None = left_out()

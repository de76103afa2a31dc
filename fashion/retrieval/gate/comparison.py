"""A comparison of two evaluations, as it stands in metrics.json."""

from dataclasses import dataclass, field
from typing import Literal

from fashion.json_values import left_out

Verdict = Literal["worse", "a little worse", "no difference", "better"]
Moved = Literal["fell", "rose", "none"]  # by more than chance


@dataclass(frozen=True, kw_only=True)
class Against:
    """The earlier evaluation."""

    uri: str
    created: str | None
    model: str  # fingerprint
    data: str | None  # fingerprint


@dataclass(frozen=True, kw_only=True)
class MeasureChange:
    """One measure over the queries that are in both."""

    name: str
    before: float
    after: float
    difference: float
    interval: tuple[float, float]  # of the difference, 95 %
    p: float
    lost: int | None = left_out()  # of recall: queries that were right only before
    gained: int | None = left_out()  # of recall: queries that are right only now
    p_adjusted: float
    moved: Moved


@dataclass(frozen=True, kw_only=True)
class LabelChange:
    """One number of the labels, each evaluation over its own images."""

    name: str
    before: float
    after: float
    difference: float


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What decides: a fall of `metric` by more than `tolerance` that is significant at level `alpha`."""

    metric: str
    tolerance: float
    alpha: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All numbers are over the queries in both."""

    against: Against
    changed: list[str]  # sentences on what makes the two differ beside the network
    queries: int  # in both
    items: int  # of these
    only_before: int  # queries
    only_after: int
    measures: list[MeasureChange]
    labels: list[LabelChange] = field(default_factory=list)
    gate: Decision
    verdict: Verdict

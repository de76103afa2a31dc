"""What an evaluation is held against: an earlier one, perhaps, and the history."""

from dataclasses import dataclass, field, replace

import pyarrow as pa

from fashion.errors import InputError
from fashion.json_values import of_plain, to_plain
from fashion.retrieval.gate.compare import check_metric, compare
from fashion.retrieval.gate.earlier import Scored, ScoredMetrics, read_earlier
from fashion.retrieval.gate.history import history_row, read_history, record, trend
from fashion.retrieval.metrics_record import Metrics
from fashion.retrieval.settings import GateSettings
from fashion.storage import Store


@dataclass(frozen=True, kw_only=True)
class Gate:
    """`history` is the folder of the history; `against` the earlier evaluation, if there is one to compare with."""

    history: Store
    against: Scored | None = None
    settings: GateSettings = field(default_factory=GateSettings)
    tolerance: float = 0.0

    def compare(self, metrics: Metrics, queries: pa.Table) -> tuple[Metrics, InputError | None]:
        """`metrics` with its `comparison`, if there is an earlier evaluation; or as it is, and why not.

        The reason is not raised here, so that results are written whether they can be compared or not.
        """
        if self.against is None:
            return metrics, None
        now = Scored(uri="this evaluation", metrics=of_plain(ScoredMetrics, to_plain(metrics)), queries=queries)
        try:
            comparison = compare(self.against, now, self.settings, tolerance=self.tolerance)
            return replace(metrics, comparison=comparison), None
        except InputError as fault:
            return metrics, fault

    def remember(self, metrics: Metrics) -> list[dict]:
        """Add the evaluation to the history; returns the history's rows that count alike, oldest first."""
        record(self.history, history_row(metrics))
        return trend(read_history(self.history), metrics)


def open_gate(history: Store, against: str | None, settings: GateSettings, *, tolerance: float) -> Gate:
    """The gate with its earlier evaluation read. Raises InputError where that cannot be compared with."""
    earlier = None
    if against:
        earlier = read_earlier(against)
        check_metric(earlier, settings)
    return Gate(history=history, against=earlier, settings=settings, tolerance=tolerance)


def is_worse(metrics: dict) -> bool:
    """Whether the evaluation fell by more than chance and tolerance."""
    return metrics.get("comparison", {}).get("verdict") == "worse"

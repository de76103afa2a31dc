"""history.json: a row an epoch of a training run, and what the run is judged by in it."""

from dataclasses import dataclass
from typing import Any

from fashion.json_values import inline, left_out
from fashion.storage import Store

HISTORY = "history.json"


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """An epoch, counted from 0. Losses and statistics are means over its steps. What an older version did not write is the
    default; what only some epochs have, of a validation or a search for neighbours, is None in the others."""

    epoch: int
    learning_rate: float = 0.0  # the highest, at its last step
    precision: str | None = None
    loss: float = 0.0
    statistics: dict[str, Any] = inline()  # of the batches (positive_distance, active, ...), and loss_NAME of each task
    images: int = 0
    seconds: float = 0.0  # without validation
    images_per_s: float = 0.0
    data_wait_s: float = 0.0
    step_s: float = 0.0
    advice: str | None = None

    recall: dict[str, float] | None = left_out()  # k -> fraction
    map: float | None = left_out()
    r_precision: float | None = left_out()
    mrr: float | None = left_out()
    queries: int | None = left_out()
    category_top1: float | None = left_out()
    landmark_error: float | None = left_out()
    interpolation: float | None = left_out()  # share of the tuned weights in the network that is kept
    interpolations: dict[str, float] | None = left_out()  # share -> the metric
    validation_s: float | None = left_out()

    mining_s: float | None = left_out()
    near: float | None = left_out()  # mean similarity of an item and its nearest
    near_duplicates: int | None = left_out()  # pairs


def score(row: EpochRow, metric: str) -> float:
    """The value of `recall@k`, `map`, `r_precision` or `mrr`; -1 where the epoch was not validated."""
    if metric.startswith("recall@"):
        return (row.recall or {}).get(metric.removeprefix("recall@"), -1.0)
    value = {"map": row.map, "r_precision": row.r_precision, "mrr": row.mrr}.get(metric)
    return -1.0 if value is None else value


def read_history(run: Store) -> list[EpochRow]:
    """Of a run's folder; empty before its first epoch. Raises InputError where it is damaged."""
    return run.read_value(HISTORY, list[EpochRow]) if run.exists(HISTORY) else []

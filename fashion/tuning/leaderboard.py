"""A sweep's trials in order of merit, as a table, and the best one's settings as a file for jobs/train.py."""

from dataclasses import asdict
from typing import get_args

import pyarrow as pa
import pyarrow.csv as pacsv
import yaml

from fashion.storage import Store
from fashion.text import cell
from fashion.training.settings import TrainSettings
from fashion.tuning.overrides import setting_types
from fashion.tuning.records import TRIALS, Trial
from fashion.tuning.space import Space

LEADERBOARD, LEADERBOARD_CSV, BEST = "leaderboard.parquet", "leaderboard.csv", "best.yaml"


def ranked(trials: list[Trial]) -> list[Trial]:
    """Best validation first, the earlier trial of equals; those without one last."""
    return sorted(
        trials, key=lambda t: (t.best is None, -(t.best.score if t.best else 0), t.record.number, t.record.generation)
    )


def table(trials: list[Trial], space: Space, metric: str) -> pa.Table:
    """A row a trial, best first: rank, trial, status, metric, best_epoch, epochs, seconds, the searched settings (null
    where a trial has no such setting), error, run."""
    order = ranked(trials)
    columns = {
        "rank": pa.array([i + 1 for i in range(len(order))], pa.int64()),
        "trial": pa.array([t.record.name for t in order]),
        "status": pa.array([t.record.status for t in order]),
        metric: pa.array([t.best.score if t.best else None for t in order], pa.float64()),
        "best_epoch": pa.array([t.best.epoch if t.best else None for t in order], pa.int64()),
        "epochs": pa.array([t.epochs for t in order], pa.int64()),
        "seconds": pa.array([round(t.seconds, 1) for t in order], pa.float64()),
    }
    for name in space.names:
        columns[name] = pa.array([t.record.values.get(name) for t in order], _arrow(name))
    columns["error"] = pa.array([t.record.error if t.record.status == "failed" else None for t in order], pa.string())
    columns["run"] = pa.array([f"{TRIALS}/{t.record.name}" for t in order])
    return pa.table(columns)


def _arrow(name: str) -> pa.DataType:
    kinds = {float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
    kind = setting_types()[name]
    return next((kinds[k] for k in (kind, *get_args(kind)) if k in kinds), pa.string())


def best_yaml(best: Trial, settings: TrainSettings, metric: str) -> str:
    """The best trial's whole settings; `jobs/train.py --config` reads it."""
    assert best.best
    epoch, value = best.best
    head = [
        f"{best.record.name}, best of its sweep: {metric} {value:.4f} on the validation part after epoch {epoch}",
        *(f"  {name}: {setting}" for name, setting in best.record.values.items()),
    ]
    if best.record.parent:
        head.append(f"It took over weights of {best.record.parent}, so training anew is not the same run.")
    head.append("python jobs/train.py --config best.yaml --data URI --run URI")
    return "".join(f"# {line}\n" for line in head) + yaml.safe_dump(asdict(settings), sort_keys=False)


def _as_text(rows: pa.Table) -> pa.Table:
    for n, column in enumerate(rows.schema):
        if pa.types.is_string(column.type):
            rows = rows.set_column(n, column.name, pa.array(map(cell, rows[n].to_pylist()), pa.string()))
    return rows


def write_leaderboard(sweep: Store, trials: list[Trial], space: Space, metric: str) -> pa.Table:
    rows = table(trials, space, metric)
    sweep.write_table(LEADERBOARD, rows)
    sink = pa.BufferOutputStream()
    pacsv.write_csv(_as_text(rows), sink)
    sweep.write(LEADERBOARD_CSV, sink.getvalue())
    return rows

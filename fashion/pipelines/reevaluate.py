"""The nightly gate: today's catalogue, a run's best network, and the accepted evaluation that it is held against."""

import logging
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cluster.shared import check_shared
from cluster.start import ray_cluster
from cluster.storage import check_storage
from fashion.claim import sole_writer
from fashion.data.settings import TableSettings
from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.pipelines.evaluate import EvaluateSettings, evaluate_run
from fashion.pipelines.log import kept_log
from fashion.pipelines.networks import best_network
from fashion.pipelines.prepare import prepare_table
from fashion.retrieval.gate.earlier import METRICS, QUERIES
from fashion.retrieval.gate.gate import Gate
from fashion.retrieval.settings import EmbedSettings, GateSettings, ProtocolSettings
from fashion.setting_ranges import check, setting
from fashion.setting_types import require_folders
from fashion.storage import Store

log = logging.getLogger(__name__)

DAY = "{day}"


@dataclass(frozen=True, kw_only=True)
class ReevaluateSettings:
    """Evaluate a run's best network on today's catalogue and compare it with the accepted evaluation. In every address,
    {day} stands for the day, such as 2026-11-24."""

    run: str
    """Folder of the training run: local or s3://. Its best checkpoint of now is taken."""
    data: str
    """Folder of today's item table: local or s3://. With `source` it is made first."""
    baseline: str
    """Folder of the accepted evaluation: local or s3://."""
    source: str | None = None
    """Folder of the catalogue's files to make the item table from (jobs/prepare.py). Default: the table is there."""
    table: TableSettings = field(default_factory=TableSettings)
    out: str | None = None
    """Folder of today's results. Default: reevaluations/{day} in the run's folder."""
    history: str | None = None
    """Folder of the history of evaluations. Default: history in the baseline's folder."""
    accept: bool = False
    """Make today's evaluation the accepted one, whatever it is compared with the former."""
    day: str | None = None
    """The day, YYYY-MM-DD. Default: today, UTC."""
    protocol: ProtocolSettings = field(default_factory=ProtocolSettings)
    embedding: EmbedSettings = field(default_factory=EmbedSettings)
    tolerance: float = setting(0.01, least=0, below=1, note="a fraction such as 0.01")
    """A fall of gate.metric by at most this fraction passes: 0.01 is one point of a hundred."""
    gate: GateSettings = field(default_factory=GateSettings)

    def __post_init__(self) -> None:
        check(self)
        require_folders(self, "run", "data", "baseline")
        if self.day:
            try:
                datetime.strptime(self.day, "%Y-%m-%d")
            except ValueError:
                raise InputError(f"day: found {self.day!r}, expected YYYY-MM-DD such as 2026-11-24") from None

    def dated(self) -> "ReevaluateSettings":
        """With the day in every address, and the addresses that were left out."""
        day = self.day or datetime.now(UTC).strftime("%Y-%m-%d")
        out = self.out or f"{self.run.rstrip('/')}/reevaluations/{DAY}"
        history = self.history or f"{self.baseline.rstrip('/')}/history"
        return replace(
            self,
            day=day,
            run=self.run.replace(DAY, day),
            data=self.data.replace(DAY, day),
            baseline=self.baseline.replace(DAY, day),
            source=self.source and self.source.replace(DAY, day),
            out=out.replace(DAY, day),
            history=history.replace(DAY, day),
        )

    @property
    def evaluation(self) -> EvaluateSettings:
        """What jobs/evaluate.py would be asked; `against` only where there is an accepted evaluation."""
        accepted = Store(self.baseline).exists(METRICS)
        return EvaluateSettings(
            data=self.data,
            run=self.run,
            out=self.out,
            protocol=self.protocol,
            embedding=self.embedding,
            against=self.baseline if accepted else None,
            tolerance=self.tolerance,
            gate=self.gate,
            history=self.history,
        )


def evaluate_today(settings: ReevaluateSettings, gate: Gate) -> dict:
    """Evaluate, compare, and accept where that is asked; Ray runs. Returns what metrics.json holds.

    Raises InputError, and TooManyBadPictures.
    """
    assert settings.out  # as `dated` leaves it
    data = Store(settings.data)
    if settings.source:
        table = prepare_table(Store(settings.source), data, settings.table)
    else:
        table = ItemTable(data)
    metrics = evaluate_run(settings.evaluation, table, Store(settings.run), gate)
    if settings.accept:
        accept(Store(settings.out), Store(settings.baseline))
        log.info(f"accepted as the baseline, {settings.baseline}")
    return metrics


def accept(results: Store, baseline: Store) -> None:
    """Copy an evaluation to where the accepted one lies. metrics.json goes last: a reader that comes between finds that
    the two files are not of one evaluation, and says so."""
    for name in (QUERIES, METRICS):
        baseline.write(name, results.read(name))


def reevaluate(settings: ReevaluateSettings) -> dict:
    """Evaluate on the day's catalogue, compare, and accept where that is asked; Ray is joined or started. Returns what
    metrics.json holds. Raises InputError, and TooManyBadPictures."""
    settings = settings.dated()
    assert settings.out
    writes = {"data": bool(settings.source), "baseline": settings.accept, "out": True, "history": True}
    for name in ("run", "data", "baseline", "source", "out", "history"):
        if getattr(settings, name):
            check_storage(name, getattr(settings, name), writes=writes.get(name, False))
    if not settings.accept and not Store(settings.baseline).exists(METRICS):
        raise InputError(
            f"baseline: nothing is accepted in {settings.baseline}; the same command with --accept true accepts what "
            "it finds today"
        )
    data = Store(settings.data)
    best = best_network(Store(settings.run))  # what is missing is said before Ray starts
    gate = settings.evaluation.open_gate()
    if not settings.source:
        ItemTable(data).manifest  # noqa: B018
    on = f"the catalogue of {settings.source}" if settings.source else settings.data
    log.info(f"evaluate epoch {best.epoch + 1} of {best.store.uri} on {on}, against {settings.baseline}")
    written = sole_writer(data) if settings.source else nullcontext()
    out = Store(settings.out)
    with sole_writer(out), written, kept_log(out, "reevaluate"), ray_cluster():
        check_shared({"data": settings.data if settings.source else None, "out": settings.out})
        return evaluate_today(settings, gate)

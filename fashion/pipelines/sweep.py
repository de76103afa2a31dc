"""Settings of a training, searched by many runs (trials) -> a leaderboard, the best settings, a page."""

import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cluster.shared import check_shared
from cluster.start import ray_cluster
from cluster.storage import check_storage
from fashion.claim import sole_writer
from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.pipelines.evaluate import EvaluateSettings, evaluate_run
from fashion.pipelines.live import LiveTable
from fashion.pipelines.log import kept_log
from fashion.provenance import now
from fashion.retrieval.gate.earlier import METRICS
from fashion.setting_ranges import check, setting
from fashion.setting_types import part_of
from fashion.storage import Store
from fashion.text_table import aligned
from fashion.training.checkpoint import best_checkpoint
from fashion.training.settings import TrainSettings
from fashion.tuning.overrides import written
from fashion.tuning.plan import SweepPlan, SweepSettings, plan_sweep
from fashion.tuning.records import TRIALS, Trial
from fashion.tuning.settings import BudgetSettings, SchedulerSettings, SearchSettings

if TYPE_CHECKING:
    from fashion.tuning.watch import News, Standing

PAGE = "sweep.html"
SHOWN = 8  # best trials in the live table

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SweepJobSettings:
    """Search settings of train.py. The same command again resumes; with neither data nor run, on the demo catalogue."""

    data: str | None = None
    """Folder of the item table (jobs/prepare.py): local or s3://. Default: the demo catalogue, drawn first."""
    run: str | None = None
    """Folder of the sweep, with a training run a trial: local or s3://."""
    train: TrainSettings = field(default_factory=TrainSettings)
    space: dict[str, Any] | None = None
    """Setting of train.py -> what is searched: {choice: [A, B]}, {uniform: [LOW, HIGH]}, {loguniform: [LOW, HIGH]} or
    {integers: [LOW, HIGH]}. HIGH may be {below: SETTING}; beside it, when: {SETTING: VALUES} searches it only there."""
    search: SearchSettings = field(default_factory=SearchSettings)
    scheduler: SchedulerSettings = field(default_factory=SchedulerSettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    concurrent: int | None = setting(None, least=1)
    """Trials at a time. Default: as many as the cluster has GPUs, or machines' worth of CPUs, for."""
    retries: int = setting(1, least=0)
    """Restarts of a failed trial before it is reported as failed; the sweep goes on without it."""
    evaluate: bool = True
    """Evaluate the best trial on the test part, once, at the end."""

    def __post_init__(self) -> None:
        check(self)
        if bool(self.data) != bool(self.run):
            missing = "run" if self.data else "data"
            raise InputError(f"{missing}: missing; give both --data and --run, or neither for the demo")
        if self.space is None:
            raise InputError("space: missing; give --config FILE.yaml with a space, as jobs/configs/sweep.yaml has")

    @property
    def sweep(self) -> SweepSettings:
        return part_of(self, SweepSettings)


def sweep_run(settings: SweepJobSettings, plan: SweepPlan, table: ItemTable, store: Store) -> Trial:
    """Run the sweep and write what it found; Ray runs. Returns the best trial. Raises RuntimeError where none came to a
    result."""
    from fashion.tuning.sweep import run_sweep

    s, many = settings, "no limit of" if math.isinf(plan.trials) else f"{int(plan.trials)}"
    log.info(
        f"sweep over {', '.join(plan.space.names)}: {many} trials of {s.train.epochs} epochs, search {s.search.name}, "
        f"scheduler {s.scheduler.name}, by validation {plan.metric}"
    )
    show = _Show(plan)
    try:
        trials = run_sweep(plan, table, store, show)
    except KeyboardInterrupt:
        show.table.clear()
        log.info(
            f"{show.ended} trials have ended and are kept, begun ones resume from their last checkpoint: {store.uri}"
        )
        raise
    show.table.clear()
    return finish(settings, plan, trials, table, store)


def finish(settings: SweepJobSettings, plan: SweepPlan, trials: list[Trial], table: ItemTable, store: Store) -> Trial:
    """Leaderboard, best.yaml, the best trial's evaluation, the page."""
    from fashion.tuning.leaderboard import BEST, best_yaml, ranked, write_leaderboard
    from fashion.tuning.page import SweepAbout, render_sweep
    from fashion.tuning.watch import Standing

    write_leaderboard(store, trials, plan.space, plan.metric)
    standings = [Standing(record=t.record, scores=dict(t.scores)) for t in trials]
    log.info("\n" + "\n".join(table_lines(standings, plan, 20)))
    best = ranked(trials)[0] if trials else None
    if best is None or best.best is None:
        raise RuntimeError(f"no trial came to a result; their errors are in {store.uri}/leaderboard.csv")
    text = best_yaml(best, plan.of(best.record.values), plan.metric)
    store.write(BEST, text.encode())
    test = _evaluated(best, plan, table, store) if settings.evaluate else None
    about = SweepAbout(
        metric=plan.metric,
        epochs=plan.epochs,
        search=f"{settings.search.name}, seed {settings.search.seed}",
        scheduler=settings.scheduler.name,
        data=table.store.uri,
        created=now(),
        best_yaml=text,
        test=test,
    )
    store.write(PAGE, render_sweep(plan.space, trials, about).encode())
    log.info(f"\nbest   {store.uri}/{BEST}\npage   {store.uri}/{PAGE}\nrun    {store.uri}/{TRIALS}/{best.record.name}")
    return best


def _evaluated(best: Trial, plan: SweepPlan, table: ItemTable, store: Store) -> dict:
    """The best trial's metrics on the test part; measured once for each network."""
    run, out = store / f"{TRIALS}/{best.record.name}", store / "evaluation"
    if out.exists(METRICS):
        metrics = out.read_json(METRICS)
        network = best_checkpoint(run, plan.metric).fingerprint
        if (metrics["model"]["fingerprint"], metrics["data"]["fingerprint"]) == (network, table.fingerprint):
            return metrics
    return evaluate_run(EvaluateSettings(data=table.store.uri, run=run.uri, out=out.uri), table, run)


class _Show:
    """News of the sweep -> the live table, and a line for each trial."""

    def __init__(self, plan: SweepPlan):
        self.plan, self.table, self.ended = plan, LiveTable(), 0

    def __call__(self, news: "News") -> None:
        trial, record = news.trial, news.trial.record
        self.ended = sum(t.record.done for t in news.trials)
        if news.event == "begun":
            self.table.say(f"{record.name} begins: {_values(record.values)}")
        elif news.event == "epoch":
            if not self.table.terminal:
                value = trial.scores[trial.epoch]
                self.table.say(f"{record.name} epoch {trial.epoch}/{self.plan.epochs}  {self.plan.metric} {value:.3f}")
        elif news.event == "retried":
            self.table.say(f"{record.name} failed and is tried again: {record.error or 'its process died'}")
        else:
            best = "no result" if trial.best is None else f"best {self.plan.metric} {trial.best:.3f}"
            why = f": {record.error}" if record.error else ""
            self.table.say(f"{record.name} {record.status} after epoch {trial.epoch}, {best}{why}")
        self.table.draw(["", *table_lines(news.trials, self.plan, SHOWN)])


def table_lines(trials: list["Standing"], plan: SweepPlan, most: int) -> list[str]:
    """The best trials as lines of text, best first."""
    names = [n for n in plan.space.names if any(n in t.record.values for t in trials)]
    head = ["trial", plan.metric, "epoch", "status", *names]
    rows = [
        [
            t.record.name,
            "-" if t.best is None else f"{t.best:.3f}",
            f"{t.epoch}/{plan.epochs}",
            t.record.status,
            *(written(t.record.values[n]) if n in t.record.values else "-" for n in names),
        ]
        for t in sorted(trials, key=lambda t: (t.best is None, -(t.best or 0), t.record.number))
    ]
    lines = aligned([head, *rows], "<").split("\n")
    more = len(rows) - most
    return lines[: most + 1] + ([f"and {more} more"] if more > 0 else [])


def _values(values: dict) -> str:
    return ", ".join(f"{name} {written(value)}" for name, value in values.items())


def announce(table: ItemTable, store: Store) -> None:
    """What is about to be done."""
    items = sum(shard.items for shard in table.shards("train"))
    log.info(f"sweep: trials on the {items:,} items of {table.store.uri}, in {store.uri}")


def sweep(settings: SweepJobSettings) -> Trial:
    """Run or resume the sweep; Ray is joined or started. Returns the best trial. Raises InputError, and RuntimeError where
    no trial came to a result."""
    if not settings.data or not settings.run:
        raise InputError("data: missing; expected the folder of an item table (fashion.pipelines.demo makes one)")
    check_storage("data", settings.data)
    check_storage("run", settings.run, writes=True)
    table, store = ItemTable(Store(settings.data)), Store(settings.run)
    announce(table, store)
    plan = plan_sweep(settings.sweep, table)  # what is wrong is said before Ray starts
    with sole_writer(store), kept_log(store, "sweep"), ray_cluster():
        check_shared({"run": settings.run})
        return sweep_run(settings, plan, table, store)

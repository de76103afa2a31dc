"""What a sweep will do, checked before anything starts. Pure, but for reading the item table's manifest."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

from fashion.data.plan import Plan
from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.training.defaults import settle, usual_epochs
from fashion.training.job import check_possible
from fashion.training.resources import decide_resources
from fashion.training.settings import ResourceSettings, TrainSettings
from fashion.training.start import find_start
from fashion.tuning.overrides import Values, override
from fashion.tuning.settings import BudgetSettings, SchedulerSettings, SearchSettings
from fashion.tuning.space import Space
from fashion.tuning.space_file import parse_space

CORNERS = 256  # combinations of extreme values that are tried out before a sweep starts
DRAWS = 1000  # and drawn trials, at most
POPULATION = ("optimizer.learning_rate", "optimizer.clip", "augmentation.", "loss.")  # may change while weights stay
NOT_POPULATION = ("loss.name", "loss.memory", "loss.positives")


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """A sweep: what its trials have in common, what is searched, how, and for how long."""

    train: TrainSettings = field(default_factory=TrainSettings)
    space: dict
    search: SearchSettings = field(default_factory=SearchSettings)
    scheduler: SchedulerSettings = field(default_factory=SchedulerSettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    concurrent: int | None = None
    retries: int = 1

    def identity(self) -> dict:
        """All that decides the trials and which of them are ended early."""
        return {
            "train": self.train.identity(),
            "space": self.space,
            "search": vars(self.search),
            "scheduler": vars(self.scheduler),
        }


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """A sweep whose every setting has been checked."""

    settings: SweepSettings

    @property
    def metric(self) -> str:
        return self.settings.train.validation.metric

    @property
    def epochs(self) -> int:
        return self.settings.train.length

    @cached_property
    def space(self) -> Space:
        return parse_space(self.settings.space)

    @cached_property
    def grid(self) -> list[Values] | None:
        return self.space.grid() if self.settings.search.name == "grid" else None

    @property
    def trials(self) -> float:
        """How many, at most; infinite where another budget ends the sweep."""
        return self.settings.budget.count(None if self.grid is None else len(self.grid))

    def draw(self, number: int) -> Values:
        """The settings of trial `number`, for a search that does not look at results."""
        return self.space.draw(self.settings.search.seed, number) if self.grid is None else self.grid[number]

    def of(self, values: Values) -> TrainSettings:
        return override(self.settings.train, values)


def plan_sweep(settings: SweepSettings, table: ItemTable) -> SweepPlan:
    """Check names, budgets, every end of every range and the trials that will be drawn. Raises InputError."""
    shards, batch = table.shards("train"), settings.train.batch
    steps = Plan.of(shards, items_per_step=batch.items, seed=0).steps
    epochs = settings.train.epochs or usual_epochs(steps, settings.train.network)
    settings = replace(settings, train=replace(settings.train, epochs=epochs))
    plan = SweepPlan(settings=settings)
    _check_names(plan)
    settings.scheduler.grace_of(plan.epochs)
    trials = plan.trials
    if settings.scheduler.name == "pbt" and (settings.search.name == "optuna" or math.isinf(trials)):
        raise InputError("scheduler.name: pbt needs search.name random or grid and a budget of trials, its population")
    if settings.scheduler.name == "hyperband" and math.isinf(trials):
        raise InputError("scheduler.name: hyperband needs a budget of trials (budget.trials)")
    if settings.search.name == "optuna":
        _check_optuna()
        if settings.scheduler.name == "hyperband":
            raise InputError("search.name: optuna suggests a trial at a time, and hyperband needs all; set asha")
    tried = plan.grid if plan.grid is not None else plan.space.corners(CORNERS)
    drawn = int(min(trials, DRAWS)) if plan.grid is None and settings.search.name == "random" else 0
    candidates = [(values, _valid(plan, values)) for values in [*tried, *map(plan.draw, range(drawn))]]
    _check_on_data([s for _, s in candidates], table)
    return plan


def _check_names(plan: SweepPlan) -> None:
    for name in plan.space.names:
        reason = None
        if name.startswith("validation."):
            reason = "trials are compared by it, so it must be the same for all"
        elif name.startswith(("resources.", "checkpoint.")):
            reason = "it changes how a trial runs, not what it learns"
        elif name == "epochs":
            reason = "it is every trial's full length; scheduler ends trials early"
        elif plan.settings.scheduler.name == "pbt" and (
            not name.startswith(POPULATION) or name in NOT_POPULATION or _conditional(plan, name)
        ):
            reason = "pbt changes settings of a trained network, and this one cannot change then"
        if reason:
            raise InputError(f"space.{name}: cannot be searched: {reason}; set train.{name} for all trials")


def _conditional(plan: SweepPlan, name: str) -> bool:
    return any(d.when for d in plan.space.dimensions if d.name == name)


def _check_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError:
        raise InputError(
            "search.name: optuna is not installed; install the extra (pip install 'fashion-retrieval[optuna]'), or set "
            "random"
        ) from None


def _valid(plan: SweepPlan, values: Values) -> TrainSettings:
    try:
        return plan.of(values)
    except InputError as fault:
        at = ", ".join(f"{name} {value}" for name, value in values.items())
        raise InputError(f"space: a trial with {at} is not possible: {fault}") from None


def _check_on_data(candidates: list[TrainSettings], table: ItemTable) -> None:
    """What depends on the data or on the network, once for each different value."""
    shards = table.shards("train")
    table.shards("val")
    for items in {s.batch.items for s in candidates}:
        Plan.of(shards, items_per_step=items, seed=0)
    for network in {s.network for s in candidates}:
        if network.pretrained:
            find_start(network)
        else:
            check_possible(network)
    seen = set()
    for s in candidates:
        if s.loss.domains not in seen:
            settle(s, table, 1)
            seen.add(s.loss.domains)


def share_cluster(
    wanted: ResourceSettings,
    concurrent: int | None,
    *,
    cpus: float,
    gpus: float,
    cores: int,
    machines: int,
    shared: bool = True,
) -> tuple[int, ResourceSettings]:
    """How many trials run at a time, and what each takes of the cluster: with GPUs one for each group of workers, else
    one for each machine, whose `cores` all compute then. `shared`: with other jobs. Raises InputError where so many do not
    fit."""
    gpu = gpus >= wanted.workers if wanted.gpu is None else wanted.gpu
    if concurrent is None:
        needed = wanted.workers * wanted.worker_cpus + (wanted.feed_actors or 1) * wanted.feed_cpus
        groups = gpus // wanted.workers if gpu else machines // wanted.workers
        concurrent = max(1, int(min(groups, cpus // needed)))
    try:
        decided = decide_resources(wanted, cpus=cpus // concurrent, gpus=gpus // concurrent, cores=cores, shared=shared)
    except InputError as fault:
        if concurrent == 1:
            raise
        raise InputError(f"concurrent: {concurrent} trials at a time do not fit: for each, {fault}") from None
    here = -(-concurrent * wanted.workers // max(1, machines))  # workers that share a machine's cores
    threads = wanted.threads or (decided.threads if gpu else max(1, cores // here))
    actors, most = decided.feed_actors, decided.feed_most
    return concurrent, replace(wanted, gpu=decided.gpu, feed_actors=actors, feed_most=most, threads=threads)

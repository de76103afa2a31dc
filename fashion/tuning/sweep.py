"""A sweep on Ray Tune.

A trial is a training run in a folder of its own, and the sweep's plain files say all that is known of it. So a sweep is
resumed from those files alone, whatever ended it: trials that are done are told to the scheduler and to the search, an
unfinished one goes on after its newest checkpoint, and nothing of Tune's own state is kept or unpickled.
"""

import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ray import tune

from fashion.capacity import computing, cores, machines, owned, total
from fashion.data.table import ItemTable
from fashion.provenance import now, versions
from fashion.storage import Store
from fashion.training.run_record import TableRecord
from fashion.tuning.plan import SweepPlan, share_cluster
from fashion.tuning.records import SweepRecord, Trial, open_sweep, read_trials, seconds_spent, trial_name
from fashion.tuning.schedulers import TOGETHER, build_scheduler
from fashion.tuning.search import Planned, open_trials, suggestions
from fashion.tuning.tidy import tidy
from fashion.tuning.trial import TrainFunction, TrialFunction, train, trainable
from fashion.tuning.watch import BudgetStopper, News, Watch

# Every Ray cluster has 1 of this resource, on its head node; Ray Train takes a little of it.
HEAD = "node:__internal_head__"
QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends this job like any other: all that counts is in files already
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


def run_sweep(
    plan: SweepPlan, table: ItemTable, store: Store, show: Callable[[News], None], train: TrainFunction = train
) -> list[Trial]:
    """Run, or resume, to the end of the budget; returns all trials. Ray runs.

    Raises InputError where the folder holds another sweep or the cluster is too small.
    """
    settings, nodes = plan.settings, machines()
    cpus, gpus = total(nodes)
    concurrent, resources = share_cluster(
        settings.train.resources,
        settings.concurrent,
        cpus=cpus,
        gpus=gpus,
        cores=cores(nodes),
        machines=computing(nodes),
        shared=not owned(),
    )
    open_sweep(store, _record(plan, table))
    past = read_trials(store, plan.metric)
    watch = Watch(plan, store, past, seconds_spent(store), show)
    last = {t.record.number: t.record.done for t in past}  # whether the newest generation of each is done
    if not watch.over() and (len(last) < plan.trials or not all(last.values())):
        function = TrialFunction(
            sweep=store,
            table=table,
            base=replace(settings.train, resources=resources),
            population=settings.scheduler.name == "pbt",
            train=train,
        )
        _tune(plan, function, past, concurrent, watch)
        watch.clock()
    tidy(store, read_trials(store, plan.metric))
    return read_trials(store, plan.metric)


def _record(plan: SweepPlan, table: ItemTable) -> SweepRecord:
    data = TableRecord(uri=table.store.uri, fingerprint=table.fingerprint)
    return SweepRecord(settings=plan.settings.identity(), data=data, versions=versions(), created=now())


def _tune(plan: SweepPlan, function: TrialFunction, past: list[Trial], concurrent: int, watch: Watch) -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    options: dict[str, Any] = {"scheduler": build_scheduler(plan, [t for t in past if t.record.done])}
    name_of = lambda trial: trial_name(trial.config["trial"]["number"])  # noqa: E731
    if plan.settings.scheduler.name in TOGETHER:
        # A trial that waits for others holds no place, so places are counted in a resource that running ones take.
        resources = {HEAD: round(1 / (concurrent + 0.5), 4)}
        space = {"trial": tune.grid_search(_all(plan, past))}
    else:
        resources, space = {"CPU": 0.01}, {}
        options |= {
            "search_alg": Planned(plan, past, suggestions(plan, past), watch.over),
            "max_concurrent_trials": concurrent,
            "num_samples": -1,
        }
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
        # Tune's own files serve population-based training alone, where trials on several machines hand on weights.
        place = function.sweep if function.population else Store(folder)
        tune.Tuner(
            tune.with_resources(trainable(function), resources),
            param_space=space,
            tune_config=tune.TuneConfig(**options, trial_name_creator=name_of, trial_dirname_creator=name_of),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=place.path,
                storage_filesystem=place.fs,
                failure_config=tune.FailureConfig(max_failures=plan.settings.retries),
                callbacks=[watch],
                stop=BudgetStopper(watch),
                verbose=0,
            ),
        ).fit()
    if function.population:
        function.sweep.delete_folder("tune")


def _all(plan: SweepPlan, past: list[Trial]) -> list[dict]:
    """All trials that are not done, each with the settings it has by now."""
    begun = {t.record.number for t in past}
    fresh = {n: plan.draw(n) for n in range(int(plan.trials)) if n not in begun}
    return [{"number": n, "values": v} for n, v in sorted((open_trials(plan, past) | fresh).items())]

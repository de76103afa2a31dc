"""Tune's schedulers by name, set up for trials that report `epoch` and `score`."""

import random
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)

from fashion.seeds import generator, seed_of
from fashion.tuning.plan import SweepPlan
from fashion.tuning.population import perturbed
from fashion.tuning.records import Trial

# These compare all trials with each other while they run, so all have to be known to Tune from the start.
TOGETHER = ("hyperband", "pbt")
NEVER = float("inf")


def build_scheduler(plan: SweepPlan, past: list[Trial]) -> TrialScheduler:
    """The scheduler, which asha and median let look at trials that ended before this command."""
    chosen, epochs = plan.settings.scheduler, plan.epochs
    grace = chosen.grace_of(epochs)
    common: dict[str, Any] = {"time_attr": "epoch", "metric": "score", "mode": "max"}
    if chosen.name == "hyperband":
        return HyperBandScheduler(**common, max_t=epochs, reduction_factor=chosen.reduction)
    if chosen.name == "pbt":
        return _population(plan, common, grace)
    if chosen.name == "none":
        return FIFOScheduler()
    if chosen.name == "asha":
        # A trial ends itself after its last epoch: stopped by Tune, it could lose that epoch's checkpoint.
        scheduler: TrialScheduler = ASHAScheduler(
            **common, max_t=epochs, grace_period=grace, reduction_factor=chosen.reduction, stop_last_trials=False
        )
    else:
        scheduler = MedianStoppingRule(**common, grace_period=grace, min_time_slice=NEVER)  # type: ignore[arg-type]  # it only compares with it
    for trial in past:
        _remember(scheduler, trial)
    return scheduler


@dataclass(frozen=True)
class _Past:
    """Stands in for a Tune trial that is over."""

    trial_id: str


def _remember(scheduler: Any, trial: Trial) -> None:
    """Tell the scheduler of a trial, with neither a controller nor a trial of Tune's."""
    if not trial.scores:
        return
    past, results = _Past(trial.record.name), [{"epoch": e, "score": s} for e, s in trial.scores]
    scheduler.on_trial_add(None, past)
    for result in results[:-1]:
        scheduler.on_trial_result(None, past, result)
    scheduler.on_trial_complete(None, past, results[-1])


def _population(plan: SweepPlan, common: dict, interval: int) -> PopulationBasedTraining:
    seed = plan.settings.search.seed
    stream = generator(seed, "population")
    random.seed(seed_of(seed, "population"))  # Tune draws from it which of the best is taken over

    def explore(config: dict) -> dict:
        trial = config["trial"]
        return {"trial": {**trial, "values": perturbed(plan.space, trial["values"], stream)}}

    return PopulationBasedTraining(
        **common, perturbation_interval=interval, custom_explore_fn=explore, log_config=False
    )

"""Sweeps on Ray Tune with a training run that costs no time: budgets, faults, resuming, schedulers."""

from pathlib import Path

import pytest

from fashion.storage import Store
from fashion.tuning.plan import SweepPlan, SweepSettings
from fashion.tuning.records import Trial, TrialRecord
from fashion.tuning.schedulers import build_scheduler
from fashion.tuning.search import Planned, suggestions
from fashion.tuning.settings import BudgetSettings, SchedulerSettings, SearchSettings
from fashion.tuning.sweep import run_sweep
from tests.tuning.fakes import BASE, FakeTraining, Table
from tests.tuning.test_leaderboard import trial

GRID = {"loss.margin": {"choice": [0.1, 0.3, 0.5]}}


def plan(space=GRID, search="grid", scheduler="none", budget=None, **more):
    return SweepPlan(
        settings=SweepSettings(
            train=BASE,
            space=space,
            search=SearchSettings(name=search),
            scheduler=SchedulerSettings(name=scheduler, grace=1),
            budget=budget or BudgetSettings(),
            **more,
        )
    )


class Killed(BaseException):
    """The driver ends here, without a word to anyone."""


def trained(log: Path) -> list[str]:
    return [" ".join(line.split()[:2]) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture(scope="module")
def sweep(ray_running, s3, tmp_path_factory):
    """A sweep of three trials, of which the last fails; the driver died when the first had ended; and what it did."""
    root = tmp_path_factory.mktemp("sweep")
    s3.create_bucket(Bucket="sweeps")
    store, log = Store("s3://sweeps/first"), root / "log"
    training = FakeTraining(log, broken=(0.5,))

    def die(news):
        if news.event == "ended":
            raise Killed

    with pytest.raises(Killed):
        run_sweep(plan(concurrent=1), Table(root), store, die, training)
    first, news = trained(log), []
    trials = run_sweep(plan(concurrent=1), Table(root), store, news.append, training)
    return store, root, log, first, news, trials


def test_a_sweep_goes_on_where_its_driver_died_and_trains_nothing_twice(sweep):
    _, _, log, first, news, trials = sweep
    assert first == [f"trial-0000 {e}" for e in (1, 2, 3, 4)]
    assert trained(log) == first + [f"trial-0001 {e}" for e in (1, 2, 3, 4)] + ["trial-0002 1"]
    assert not any(n.event == "begun" and n.trial.record.number == 0 for n in news)
    assert [t.record.status for t in trials] == ["finished", "finished", "failed"]
    assert [t.best for t in trials] == [(4, pytest.approx(0.2)), (4, pytest.approx(0.4)), (1, pytest.approx(-0.1))]


def test_a_failing_trial_is_tried_again_and_then_reported_and_the_others_go_on(sweep):
    _, _, _, _, news, trials = sweep
    mine = [n.event for n in news if n.trial.record.number == 2]
    assert mine == ["begun", "epoch", "retried", "begun", "ended"]
    assert trials[2].record.error == "the loss is not a number"


def test_nothing_but_the_sweeps_own_files_is_left_and_one_checkpoint_a_trial(sweep):
    store, *_ = sweep
    names = store.names(recursive=True)
    assert {n.split("/")[0] for n in names} == {"sweep.json", "clock.json", "trials"}
    assert [n for n in names if n.endswith("checkpoint.json")] == [
        "trials/trial-0000/checkpoint_epoch=0003/checkpoint.json",
        "trials/trial-0001/checkpoint_epoch=0003/checkpoint.json",
        "trials/trial-0002/checkpoint_epoch=0000/checkpoint.json",
    ]


def test_a_finished_sweep_starts_nothing(sweep):
    store, root, log, _, _, trials = sweep
    before = trained(log)
    again = run_sweep(plan(concurrent=1), Table(root), store, lambda news: pytest.fail("news"), FakeTraining(log))
    assert again == trials and trained(log) == before


def test_a_budget_of_epochs_cuts_a_trial_which_a_larger_one_goes_on_with(ray_running, tmp_path):
    space = {"loss.margin": {"uniform": [0.1, 0.6]}}
    log = tmp_path / "log"
    cut = plan(space, "random", budget=BudgetSettings(epochs=2), concurrent=1)
    found = run_sweep(cut, Table(tmp_path), Store(tmp_path / "s"), lambda news: None, FakeTraining(log, pause=1.5))
    assert [t.record.status for t in found] == ["open"]
    more = plan(space, "random", budget=BudgetSettings(trials=1), concurrent=1)
    found = run_sweep(more, Table(tmp_path), Store(tmp_path / "s"), lambda news: None, FakeTraining(log))
    assert [t.record.status for t in found] == ["finished"] and found[0].epochs == 4
    assert len(trained(log)) == 4  # each epoch once
    assert found[0].record.values == cut.draw(0)


def test_asha_judges_a_trial_by_what_ended_in_an_earlier_command():
    found = plan(scheduler="asha")
    weak = {"epoch": 1, "score": 0.1}

    class Running:
        trial_id = "new"

    for past, expected in (([], "CONTINUE"), ([trial(i, [0.5, 0.6]) for i in range(6)], "STOP")):
        scheduler = build_scheduler(found, past)
        scheduler.on_trial_add(None, Running)
        assert scheduler.on_trial_result(None, Running, weak) == expected
    scheduler = build_scheduler(found, [trial(i, [0.5, 0.6]) for i in range(6)])
    scheduler.on_trial_add(None, Running)
    assert scheduler.on_trial_result(None, Running, {"epoch": 1, "score": 0.9}) == "CONTINUE"


def test_open_trials_come_first_and_new_ones_follow_the_plan():
    found = plan({"loss.margin": {"uniform": [0.1, 0.6]}}, "random", budget=BudgetSettings(trials=4))
    past = [trial(0, [0.1], status="finished"), trial(1, [], margin=0.2)]
    source = Planned(found, past, suggestions(found, past), over=lambda: False)
    given = [source.suggest(str(i)) for i in range(4)]
    assert [g["trial"]["number"] for g in given[:3]] == [1, 2, 3] and given[3] == "FINISHED"
    assert given[0]["trial"]["values"]["loss.margin"] == 0.2 and given[1]["trial"]["values"] == found.draw(2)


def test_optuna_suggests_inside_the_space_and_goes_on_from_what_is_recorded():
    pytest.importorskip("optuna")
    space = {
        "loss.name": {"choice": ["triplet", "improved-triplet"]},
        "loss.margin": {"loguniform": [0.1, 0.6]},
        "loss.bound": {"uniform": [0.05, {"below": "loss.margin"}], "when": {"loss.name": "improved-triplet"}},
    }
    found = plan(space, "optuna")
    source = suggestions(found, [])
    away = []
    for number in range(60):
        values = source.suggest(number)
        found.of(values)
        away.append(abs(values["loss.margin"] - 0.3))
        source.tell(number, None if number == 3 else -away[-1])
    assert sum(away[40:]) < 0.7 * sum(away[:20])
    values = {"loss.name": "triplet", "loss.margin": 0.2}
    past = Trial(record=TrialRecord(number=0, values=values, status="finished"), scores=((1, 0.5),))
    resumed = suggestions(found, [past])
    assert [t.params for t in resumed.study.trials] == [values] and resumed.study.best_value == 0.5

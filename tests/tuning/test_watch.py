"""The budget counts epochs, of every trial, however seldom they are validated."""

import pytest

from fashion.storage import Store
from fashion.tuning.records import TrialRecord, write_trial
from fashion.tuning.settings import BudgetSettings
from fashion.tuning.watch import Watch
from tests.tuning.test_sweep import plan


class Running:
    config = {"trial": {"number": 3, "values": {"loss.margin": 0.2}}}  # noqa: RUF012
    trial_id = "a"


def test_a_trial_that_takes_over_anothers_settings_whole_stays_itself(tmp_path):
    store, told = Store(tmp_path), []
    for number in (2, 3):
        write_trial(store, TrialRecord(number=number, values={"loss.margin": 0.2}))
    watch = Watch(plan(), store, [], 0.0, lambda news: told.append((news.event, news.trial.record.number)))
    own, other = Running(), Running()
    other.trial_id, other.config = "b", {"trial": {"number": 2, "values": {"loss.margin": 0.2}}}
    watch.on_trial_start(0, [], own)
    watch.on_trial_start(0, [], other)
    own.config = other.config  # as population-based training does
    watch.on_trial_start(1, [], own)
    watch.on_trial_result(1, [], own, {"epoch": 1, "score": 0.1})
    assert told == [("begun", 3), ("begun", 2), ("begun", 3), ("epoch", 3)]


@pytest.mark.parametrize(("taken", "counted"), [(0, 10), (4, 6)])
def test_a_budget_of_epochs_counts_epochs_and_not_validations(tmp_path, taken, counted):
    store = Store(tmp_path)
    parent = {"generation": 2, "parent": "trial-0000", "parent_epochs": taken} if taken else {}
    for generation in range(1, 2 + bool(taken)):
        found = parent if generation == 2 else {}
        write_trial(store, TrialRecord(number=3, values={"loss.margin": 0.2}, **found))
    watch = Watch(plan(budget=BudgetSettings(epochs=counted)), store, [], 0.0, lambda news: None)
    watch.on_trial_start(0, [], Running())
    for epoch in (5, 5, 10):  # Tune says some twice
        assert not watch.over()
        watch.on_trial_result(0, [], Running(), {"epoch": epoch, "score": 0.1})
    assert watch.epochs == counted and watch.over()

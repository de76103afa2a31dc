"""The simulation of jobs on machines that fail: against the closed form, and against what can be worked out by hand."""

import math
import statistics

import pytest

from cluster.simulation import best_interval, expected_hours, simulate_tasks, simulate_training

HOUR = 3600.0
NEVER = 1e15  # seconds between two faults of a machine
TASKS = {"machines": 10, "task": 100, "rate": 50, "shared": 1e9, "machine_s": NEVER, "replace_s": 60.0}


def test_without_faults_a_training_takes_its_work_and_its_checkpoints():
    found = simulate_training(10 * HOUR, machines=8, checkpoint_s=600, machine_s=NEVER, restart_s=60, held_s=3)
    assert found.hours == pytest.approx(10 + 60 * 3 / HOUR) and found.held == pytest.approx(60 * 3 / HOUR)
    assert (found.faults, found.redone, found.waited, found.ended) == (0, 0, 0, True)


@pytest.mark.parametrize(("machines", "checkpoint_s"), [(4, 600), (40, 600), (40, 3600), (200, 300)])
def test_the_mean_training_is_that_of_the_closed_form(machines, checkpoint_s):
    settings = {
        "machines": machines,
        "checkpoint_s": checkpoint_s,
        "machine_s": 100 * HOUR,
        "restart_s": 330,
        "held_s": 2,
    }
    runs = [simulate_training(20 * HOUR, seed=seed, **settings) for seed in range(60)]
    hours = [run.hours for run in runs]
    error = statistics.stdev(hours) / math.sqrt(len(hours))
    assert abs(statistics.fmean(hours) - expected_hours(20 * HOUR, **settings)) < 4 * error
    assert error < 0.05 * statistics.fmean(hours)
    assert all(run.hours == pytest.approx(20 + run.redone + run.waited + run.held) for run in runs)
    assert runs[7] == simulate_training(20 * HOUR, seed=7, **settings) != runs[8]


def test_the_best_interval_loses_less_than_its_neighbours():
    settings = {"machines": 40, "machine_s": 100 * HOUR, "held_s": 5.0}
    best = best_interval(**settings)
    lost = [expected_hours(100 * HOUR, checkpoint_s=best * by, restart_s=60, **settings) for by in (0.5, 1, 2)]
    assert lost[1] < min(lost[0], lost[2])


def test_a_training_whose_faults_come_faster_than_checkpoints_is_given_up():
    settings = {"machines": 4000, "checkpoint_s": HOUR, "machine_s": 100 * HOUR, "restart_s": 330}
    assert not simulate_training(HOUR, **settings).ended
    assert expected_hours(HOUR, **settings) > 50


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 10 * 2.0),  # 100 tasks of 2 s on 10 machines
        ({"machines": 30}, 4 * 2.0),  # the last ten machines wait for nothing: 30 + 30 + 30 + 10
        ({"task_s": 0.5}, 10 * 2.5),
        ({"shared": 100}, 100.0),  # 10,000 images at 100 a second
        ({"shared": 20}, 500.0),
        ({"head_s": 3.0}, 100 * 3.0 + 2.0),  # the head is slower than ten machines
    ],
)
def test_tasks_by_hand(changes, seconds):
    found = simulate_tasks(10_000, **TASKS | changes)
    assert found.hours * HOUR == pytest.approx(seconds) and found.faults == found.redone == 0


def test_a_fault_gives_its_task_back_and_its_machine_comes_again():
    faulty = TASKS | {"machine_s": 20.0, "replace_s": 7.0}
    runs = [simulate_tasks(10_000, seed=seed, **faulty) for seed in range(20)]
    assert all(run.ended and run.hours * HOUR >= 20 for run in runs)
    assert sum(run.faults for run in runs) > 100
    work = 200.0  # seconds of machines, however often it fails
    for run in runs:
        spent = (run.redone + run.waited) * HOUR * TASKS["machines"]
        assert run.hours * HOUR * TASKS["machines"] >= work + spent - 1e-6
        assert run.waited * HOUR * TASKS["machines"] >= 7.0 * run.faults - 1e-6

"""What fashion.ray_seam relies on, and what it promises."""

from types import SimpleNamespace

import pytest

from fashion.ray_seam.pace import LEAST_S, MOST_S, WAITED_S, Paced


class Machine:
    """A clock that only sleeping and passes move on."""

    def __init__(self):
        self.now, self.rests = 0.0, []

    def sleep(self, seconds):
        self.rests.append(seconds)
        self.now += seconds


def executor(**moved):
    counts = dict.fromkeys(
        ("num_tasks_submitted", "num_task_outputs_generated", "num_tasks_finished", "num_outputs_taken"), 0
    )
    return SimpleNamespace(_topology=[SimpleNamespace(metrics=SimpleNamespace(**(counts | moved)))])


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def paced(machine):
    return Paced(sleep=machine.sleep, clock=lambda: machine.now)


def test_a_loop_in_which_nothing_moves_rests_longer_and_longer(machine, paced):
    for _ in range(8):
        paced.on_execution_step(executor())
    assert machine.rests[0] == LEAST_S and machine.rests[-1] == MOST_S
    assert machine.rests == sorted(machine.rests)


@pytest.mark.parametrize(
    "name", ["num_tasks_submitted", "num_task_outputs_generated", "num_tasks_finished", "num_outputs_taken"]
)
def test_a_loop_in_which_anything_moves_never_rests(machine, paced, name):
    for i in range(20):
        paced.on_execution_step(executor(**{name: i}))
    assert machine.rests == []


def test_a_pass_that_waited_for_a_block_is_not_followed_by_a_rest(machine, paced):
    for _ in range(20):
        machine.now += 2 * WAITED_S
        paced.on_execution_step(executor())
    assert machine.rests == []


def test_after_a_movement_the_first_rest_is_short_again(machine, paced):
    for i in [0] * 8 + [1, 1]:
        paced.on_execution_step(executor(num_outputs_taken=i))
    assert machine.rests[-1] == LEAST_S


def test_the_executor_of_ray_data_calls_it_and_has_what_it_reads(ray_running):
    """Ray calls the registered classes after each pass, with a `_topology` of operators whose metrics count movement."""
    import ray.data
    from ray.data import DataContext

    seen = []

    class Watch(Paced):
        def on_execution_step(self, executor):
            super().on_execution_step(executor)
            seen.append(list(self._moved))

    context = DataContext.get_current()
    before = context.custom_execution_callback_classes
    context.custom_execution_callback_classes = [Watch]
    try:
        rows = ray.data.range(4, override_num_blocks=4).map_batches(lambda x: x, batch_size=1).take_all()
    finally:
        context.custom_execution_callback_classes = before
    assert len(rows) == 4
    assert len({str(moved) for moved in seen}) > 1, "no counter of Ray Data's operators moved in a whole execution"

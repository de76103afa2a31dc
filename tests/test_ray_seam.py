"""What fashion.ray_seam relies on, and what it promises."""

import inspect
import os
import signal
from types import SimpleNamespace

import pytest
from ray._private import utils, worker
from ray.train import FailureConfig
from ray.train.v2._internal.exceptions import (
    UserExceptionWithTraceback,
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
)
from ray.train.v2._internal.execution.failure_handling import FailureDecision
from ray.train.v2.api import data_parallel_trainer
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from fashion.capacity import OWN, owned
from fashion.causes import cause
from fashion.errors import InputError, RunLost, TrainingDiverged
from fashion.ray_seam.faults import STARTS, _Discerning, no_retries_in_vain
from fashion.ray_seam.pace import LEAST_S, MOST_S, WAITED_S, Paced
from fashion.ray_seam.start import stoppable_start
from tests.processes import descendants


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


def failed(error):
    """As Ray Train tells of an error on one of two workers."""
    return WorkerGroupError("rank 1 failed", {1: UserExceptionWithTraceback(error, "Traceback ...")})


def wrapped(error):
    """As it comes through a stream: raised in an actor, and again by the process that reads from it."""
    try:
        try:
            raise error
        except Exception as inner:
            raise RuntimeError("reading a batch failed") from inner
    except RuntimeError as outer:
        return failed(outer)


def as_text(error):
    """As it is left where classes do not cross: text."""
    return failed(RuntimeError(f"ray::Feed.rows()\n  File ...\nfashion.errors.{type(error).__name__}: {error}\n"))


@pytest.mark.parametrize("told", [failed, wrapped, as_text])
@pytest.mark.parametrize("error", [InputError("item 'a': no category"), TrainingDiverged("epoch 3: the loss is nan")])
def test_what_would_happen_again_is_found_by_type_and_not_tried_again(told, error):
    found = cause(told(error))
    assert type(found) is type(error) and str(found) == str(error)
    policy = _Discerning(FailureConfig(max_failures=3))
    assert policy.make_decision(told(error)) is FailureDecision.RAISE


def test_other_faults_are_tried_again_and_told_by_their_innermost_error():
    policy = _Discerning(FailureConfig(max_failures=1))
    fault = wrapped(ConnectionResetError("peer is gone"))
    assert [policy.make_decision(fault) for _ in range(2)] == [FailureDecision.RETRY, FailureDecision.RAISE]
    assert repr(cause(fault)) == "ConnectionResetError('peer is gone')"


def test_a_run_that_is_lost_is_not_tried_again():
    policy = _Discerning(FailureConfig(max_failures=3))
    assert policy.make_decision(ControllerError(RunLost("a process was killed"))) is FailureDecision.RAISE


def test_workers_that_never_start_are_not_tried_for_ever(monkeypatch):
    """Waiting for machines has no end, nor have faults that are far apart."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("fashion.ray_seam.faults.time.monotonic", lambda: clock.now)
    failed_start = ControllerError(WorkerGroupStartupFailedError("a worker was killed"))

    def decisions(fault, count, apart):
        policy = _Discerning(FailureConfig(max_failures=3))
        made = []
        for _ in range(count):
            clock.now += apart
            made.append(policy.make_decision(fault))
        return made

    assert decisions(failed_start, STARTS, 10.0) == [FailureDecision.RETRY] * (STARTS - 1) + [FailureDecision.RAISE]
    assert set(decisions(failed_start, 50, 200.0)) == {FailureDecision.RETRY}
    no_machine = ControllerError(WorkerGroupStartupTimeoutError(1))
    assert set(decisions(no_machine, 50, 1.0)) == {FailureDecision.RETRY}


def test_ray_train_asks_for_its_policy_by_the_name_that_is_replaced():
    """DataParallelTrainer.fit makes its policy with this module's create_failure_policy."""
    assert "failure_policy=create_failure_policy(" in inspect.getsource(data_parallel_trainer.DataParallelTrainer)
    with no_retries_in_vain():
        made = data_parallel_trainer.create_failure_policy(FailureConfig())
    assert isinstance(made, _Discerning)
    assert not isinstance(data_parallel_trainer.create_failure_policy(FailureConfig()), _Discerning)


def test_what_is_replaced_of_ray_is_there():
    """The names that are patched, and what they are called with."""
    from ray._private import services, utils
    from ray._private.node import Node

    for process in ("start_api_server", "start_monitor", "start_log_monitor"):
        assert callable(getattr(Node, process))
    assert callable(utils.get_dashboard_dependency_error)
    assert "get_dashboard_dependency_error() is not None" in inspect.getsource(services.start_raylet)


def test_a_ray_of_the_jobs_own_has_no_process_that_only_a_cluster_needs(ray_running):
    named = set(descendants().values())
    assert any("raylet" in name for name in named)
    assert not [
        name for name in named if any(f"/{file}.py" in name for file in ("dashboard", "monitor", "log_monitor"))
    ]
    assert owned()


def test_ray_train_has_no_cleaner_and_hands_on_no_environment(ray_running, tmp_path, monkeypatch):
    """What is left out is what Ray Train has; a controller without variables of its own runs in any idle process."""
    import ray.train
    from ray.train.v2._internal import constants
    from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
    from ray.train.v2.api import data_parallel_trainer
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    from fashion.ray_seam.trainer import trainer_class

    run = ray.train.RunConfig(name="r", storage_path=str(tmp_path))
    plain = DataParallelTrainer(print, run_config=run)._create_default_callbacks()
    lean = trainer_class(group=False)(print, run_config=run)
    left = lean._create_default_callbacks()
    assert [type(c) for c in plain if type(c) not in map(type, left)] == [PlacementGroupCleanerCallback]

    asked = []

    class Options(Exception):
        pass

    def remote(**options):
        asked.append(options)
        raise Options

    monkeypatch.setattr(data_parallel_trainer.ray, "remote", remote)
    with pytest.raises(Options):
        lean._initialize_and_run_controller()
    assert asked[0]["runtime_env"] == {"env_vars": {}}

    before = set(constants.ENV_VARS_TO_PROPAGATE)
    try:
        left[-1].after_controller_start(None)
        assert constants.get_env_vars_to_propagate() == {}
    finally:
        constants.ENV_VARS_TO_PROPAGATE |= before


def test_a_cluster_that_was_joined_gets_ray_trains_own_trainer(monkeypatch):
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    from fashion.ray_seam.trainer import trainer_class

    monkeypatch.delenv(OWN, raising=False)
    assert trainer_class(group=True) is TorchTrainer and trainer_class(group=False) is DataParallelTrainer
    monkeypatch.setenv(OWN, "1")
    assert issubclass(trainer_class(group=True), TorchTrainer)


def test_a_stop_that_comes_while_ray_starts_is_heard_by_the_job():
    """`ray.init` sets its own handler by `set_sigterm_handler` of ray._private.utils."""
    assert "utils.set_sigterm_handler(" in inspect.getsource(worker.init)
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("the job"))
    try:
        with stoppable_start():
            utils.set_sigterm_handler(lambda *_: heard.append("ray"))
            os.kill(os.getpid(), signal.SIGTERM)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Ray's core does it, by a handler of its own
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == ["the job", "the job"]

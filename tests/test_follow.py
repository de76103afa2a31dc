"""A pool of actors that follows its readers: the decision, and what is done with it on a running Ray."""

import itertools
import math
import time

import pytest
import ray

from fashion.ray_seam.follow import Following
from fashion.ray_seam.need import BUSY, MOSTLY, QUIET, TWICE, WAITS, Window, missed, needed
from tests.benchmarks.feed_actors import stream

PATIENCE, MOST = 60.0, 40


def window(actors, busy, waited, seconds=10.0):
    return Window(seconds=seconds, actors=actors, busy=busy, waited=waited)


def followed(start, demand, hours=2, overhead=0.0):
    """The numbers that a pool has, for readers that would keep `demand` actors busy if there were so many, with actors that
    lose a share of their time where they have no rest."""
    n, seen, numbers = start, [], [start]
    for _ in range(hours * 360):
        capacity = n * (1 - overhead)
        seen.append(window(n, min(demand, capacity), 1.0 if demand > capacity else 0.0))
        wanted = needed(seen, patience=PATIENCE)
        if wanted and min(wanted, MOST) != n:
            n, seen = min(wanted, MOST), []
            numbers.append(n)
    return numbers


@pytest.mark.parametrize("overhead", [0.0, 0.2, 1 - BUSY - 0.01])
def test_from_any_number_a_pool_comes_to_one_that_suffices_and_stays_there(overhead):
    for start, demand in itertools.product((1, 2, 3, 8, MOST), (0.01, 0.5, 0.99, 1.01, 2.5, 7.0, 13.37)):
        numbers = followed(start, demand, overhead=overhead)
        more = [b > a for a, b in itertools.pairwise(numbers)]
        assert more == sorted(more, reverse=True), numbers  # once there were too many, never too few
        assert numbers[-1] * (1 - overhead) >= demand
        assert numbers[-1] <= math.ceil(demand / BUSY)


def test_readers_that_want_all_get_the_most():
    assert followed(1, math.inf) == [1, 2, 3, 5, 8, 12, 18, 27, MOST]


def test_one_window_alone_changes_nothing():
    assert needed([window(2, 2.0, 1.0)] * (TWICE - 1), patience=PATIENCE) is None
    assert needed([window(2, 0.1, 0.0, seconds=1000)] * (QUIET - 1), patience=PATIENCE) is None
    assert needed([window(2, 0.1, 0.0)] * 5, patience=PATIENCE) is None  # 50 seconds
    assert needed([window(2, 0.1, 0.0)] * 6, patience=PATIENCE) == 1


def test_readers_that_wait_for_something_else_than_actors_get_no_more_of_them():
    """The neighbours of hard batches, or CPUs that others have."""
    assert needed([window(4, 1.0, 1.0)] * 100, patience=PATIENCE) is None


def test_a_busy_window_within_the_patience_keeps_actors():
    calm, busy = window(4, 0.5, 0.0), window(4, 2.0, 0.0)
    assert needed([busy, *[calm] * 5], patience=PATIENCE) == 4
    assert needed([busy, *[calm] * 6], patience=PATIENCE) == 1


def test_readers_that_wait_a_little_for_ray_let_actors_go_and_those_that_wait_most_of_the_time_do_not():
    assert needed([window(4, 0.5, share) for share in (0.0, 0.9, 0.4, 0.5, 0.6, 0.5)], patience=PATIENCE) == 1
    assert needed([window(4, 0.5, MOSTLY)] * 6, patience=PATIENCE) is None


def test_actors_are_missed_where_readers_wait_more_than_before_from_the_start():
    more, less = window(1, 0.9, 0.2 + WAITS), window(1, 0.9, 0.2)
    assert missed([more, more], before=0.2)
    for seen in ([], [more], [more, less], [less, more], [more, more, more]):
        assert not missed(seen, before=0.2)


def read_until(dataset, every, done, limit=90.0):
    """Rows, one each `every` seconds, until `done()`."""
    rows, began, is_done = [], time.monotonic(), False
    for batch in dataset.iter_batches(batch_size=1, prefetch_batches=1):
        rows.append(int(batch["row"][0]))
        is_done = done()
        if is_done or time.monotonic() > began + limit:
            break
        time.sleep(every)
    assert rows == list(range(len(rows)))
    return is_done


def test_a_slow_reader_lets_actors_go_and_a_quick_one_gets_more(ray_running):
    """And CPUs that are let go are free."""
    pools, total = [], ray.cluster_resources()["CPU"]

    class Watched(Following):
        WINDOW_S, ROWS, PATIENCE_S = 0.5, 3, 1.5

        def before_execution_starts(self, executor):
            super().before_execution_starts(executor)
            pools.append(self._pool)

    def taken():
        return total - ray.available_resources().get("CPU", 0.0)

    slow = stream(10**6, start=3, most=3, rate=50.0, following=Watched)
    assert read_until(slow, 0.2, lambda: pools[-1].current_size() == 1 and taken() == 1)
    pools.clear()  # for it goes wherever the class goes
    quick = stream(10**6, start=1, most=3, rate=10.0, following=Watched)
    assert read_until(quick, 0.0, lambda: pools[-1].num_running_actors() == 3 and taken() == 3)


def test_what_is_used_of_rays_actor_pool_is_there(ray_running):
    """Its names, and that its pass ends with putting actors back among those that may get tasks, before callbacks."""
    import inspect

    from ray.data._internal.execution import streaming_executor
    from ray.data._internal.execution.operators import actor_pool_map_operator as pools

    loop = inspect.getsource(streaming_executor.StreamingExecutor.run)
    assert loop.index("_scheduling_loop_step(") < loop.index("on_execution_step(self)")
    step = inspect.getsource(streaming_executor.StreamingExecutor._scheduling_loop_step)
    assert step.index("dispatch_next_task()") < step.index("_actor_autoscaler.try_trigger_scaling()")
    assert step.index("dispatch_next_task()") < step.index("refresh_state()")
    choice = inspect.getsource(pools._ActorPool.select_actors)
    assert "_alive_actors_to_in_flight_tasks_heap" in choice and "self._find_actor_with_locality(" in choice
    assert "_alive_node_to_actor_heap" in inspect.getsource(pools._ActorPool._find_actor_with_locality)

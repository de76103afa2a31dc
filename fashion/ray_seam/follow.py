"""A pool of Ray Data's actors that follows the need of its readers."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import ray
from ray.data._internal.actor_autoscaler import ActorAutoscaler, ActorPoolScalingRequest
from ray.data._internal.execution.execution_callback import ExecutionCallback

from fashion.ray_seam.need import Window, missed, needed, waited

KEPT = 1000  # windows
log = logging.getLogger(__name__)


class _Still(ActorAutoscaler):
    """In place of Ray Data's own, which asks how many tasks the actors have, not whether anybody waits."""

    def try_trigger_scaling(self) -> None:
        pass


def _free_cpus() -> float:
    return ray.available_resources().get("CPU", 0.0)


class Following(ExecutionCallback):
    """Lets the actors of an execution follow its readers, between the least and the most of their strategy, where these
    differ: for `DataContext.custom_execution_callback_classes`.

    Nothing is lost or done twice: an actor that is let go gets no more tasks, and leaves when its last one has ended and
    its rows are read. Until then it is the first to stay where more are needed. Rows keep their order whoever makes them
    (`preserve_order`). A pause of the readers says nothing of their need.
    """

    WINDOW_S, ROWS = 10.0, 8  # a window, at least
    PATIENCE_S = 60.0  # before any is let go; doubled where that was a mistake

    def __init__(self, clock: Callable[[], float] = time.perf_counter, free_cpus: Callable[[], float] = _free_cpus):
        self._clock, self._free_cpus = clock, free_cpus
        self._op: Any = None
        self._leaving: set[str] = set()  # ids, for a handle would keep its actor alive
        self._patience = self.PATIENCE_S
        self._before: tuple[int, float] | None = None  # actors that there were, and share that readers waited
        self._seen: list[Window] = []

    def before_execution_starts(self, executor: Any) -> None:
        pools = [(op, pool) for op in executor._topology for pool in op.get_autoscaling_actor_pools()]
        if any(pool.min_size() < pool.max_size() for _, pool in pools):
            ((self._op, self._pool),) = pools  # Ray's own would leave none alone
            executor._actor_autoscaler = _Still(executor._topology, executor._resource_manager)
            self._begin(executor)

    def on_execution_step(self, executor: Any) -> None:
        if self._op is None:
            return
        if self._op._inputs_complete and not executor._topology[self._op].total_enqueued_input_blocks():
            self._pool.scale(ActorPoolScalingRequest.downscale(delta=-1, force=True, reason="nothing more to do"))
            return
        self._let_leave()
        if self._working() != self._actors:
            self._begin(executor)
            self._seen = []
        elif window := self._look(executor):
            self._seen = [*self._seen, window][-KEPT:]
            if self._before and missed(self._seen, self._before[1]):
                self._change(self._before[0])
            elif wanted := needed(self._seen, patience=self._patience):
                self._change(wanted)

    def _staying(self) -> dict:
        """Those that get tasks, with what their pool knows of each."""
        pool = self._pool
        return {a: s for a, s in pool._running_actors.items() if pool._get_actor_logical_id(a) not in self._leaving}

    def _working(self) -> int:
        return sum(not state.is_restarting for state in self._staying().values())

    def _let_leave(self) -> None:
        """After each pass, for each of them puts all that are alive back among those that may get tasks."""
        pool, staying = self._pool, self._staying()
        for actor, state in list(pool._running_actors.items()) if self._leaving else ():
            if actor in staying:
                continue
            if not state.num_tasks_in_flight:
                self._leaving.discard(pool._get_actor_logical_id(actor))
                pool._release_running_actor(actor)
                continue
            for heap in (pool._alive_actors_to_in_flight_tasks_heap, *pool._alive_node_to_actor_heap.values()):
                if actor in heap:
                    del heap[actor]

    def _work(self) -> float:
        """Seconds that actors took for the rows that were read from them."""
        metrics = self._op.metrics
        return metrics.block_generation_time + metrics.block_serialization_time_s

    def _begin(self, executor: Any) -> None:
        """A window, of the actors that work now."""
        self._actors, self._worked = self._working(), self._work()
        self._taken = self._rows = _taken(executor)
        self._began = self._passed = self._moved = self._clock()
        self._waited = self._paused = 0.0

    def _look(self, executor: Any) -> Window | None:
        """The window, where it ends with this pass and was not a pause for half of its time."""
        now, rows = self._clock(), _taken(executor)
        _, output = executor._output_node
        if output.num_waiting_consumers:
            self._waited += now - self._passed
        if output.num_waiting_consumers or rows != self._rows:
            self._moved = now
        self._paused = max(self._paused, now - self._moved)
        self._passed, self._rows, seconds = now, rows, now - self._began
        if seconds < self.WINDOW_S or rows - self._taken < self.ROWS or not self._actors:
            return None
        busy = (self._work() - self._worked) / seconds
        window = Window(seconds=seconds, actors=self._actors, busy=busy, waited=self._waited / seconds)
        paused = self._paused > seconds / 2
        self._begin(executor)
        return None if paused else window

    def _change(self, wanted: int) -> None:
        pool, pending = self._pool, self._pool.num_pending_actors()
        wanted = max(pool.min_size(), min(wanted, pool.max_size()))
        if wanted > self._actors and not pending:
            changed = self._more(wanted - self._actors)
        elif wanted < self._actors + pending:
            changed = -self._fewer(self._actors + pending - wanted)
        else:
            return
        before, seen = self._actors + pending, self._seen[-1]
        log.info(
            f"feed: {before} -> {before + changed} actors; readers waited for {seen.waited:.0%} of the time, and "
            f"{seen.busy:.1f} actors had work"
        )
        self._seen = []

    def _more(self, count: int) -> int:
        if self._before:
            self._patience, self._before = 2 * self._patience, None
        stay = sorted(self._leaving)[:count]
        self._leaving.difference_update(stay)
        new = count - len(stay)
        if new:
            each = self._pool.per_actor_resource_usage().cpu
            # One where no CPU is free: it may be that a machine is started for it.
            new = min(new, max(1, int(self._free_cpus() // each))) if each else new
            self._pool.scale(ActorPoolScalingRequest.upscale(delta=new, reason="readers wait"))
        return len(stay) + new

    def _fewer(self, count: int) -> int:
        """Those that are not there yet, and then of the machines with the fewest, so that machines become free."""
        pool = self._pool
        coming = min(count, pool.num_pending_actors())
        for _ in range(coming):
            pool._try_remove_pending_actor()
        if coming < count:
            staying = self._staying()
            here = Counter(state.actor_location for state in staying.values())
            order = sorted(staying, key=lambda a: (here[staying[a].actor_location], staying[a].num_tasks_in_flight))
            self._leaving |= {pool._get_actor_logical_id(actor) for actor in order[: count - coming]}
            self._before = self._actors, waited(self._seen)
        return count


def _taken(executor: Any) -> int:
    """Rows that readers have got."""
    _, output = executor._output_node
    return output.num_completed_tasks - len(output.output_queue)

"""Actors of Ray Data on a machine that is short of memory: Ray ends them and starts them anew, for ever and without a
word."""

import threading
import time
from collections import Counter
from typing import Any

import ray
from ray._private import worker
from ray._private.state import state
from ray._private.utils import publish_error_to_driver
from ray.core.generated.gcs_pb2 import (  # type: ignore[attr-defined]  # they are made when it is imported
    ActorTableData,
    WorkerTableData,
)
from ray.data import DataContext
from ray.data._internal.execution.execution_callback import ExecutionCallback

from fashion.causes import short_of_memory
from fashion.errors import RunLost
from fashion.ray_seam.memory import retries

RESTARTING = ActorTableData.ActorState.RESTARTING
SEEN_S = 0.2  # between two looks at which actors are started anew, which takes a second or more; they ask nobody
ASKED_S = 1.0  # between two questions why


def add_callbacks(context: DataContext, *classes: type[ExecutionCallback]) -> None:
    """Executions by this context call them after each pass."""
    there = context.custom_execution_callback_classes
    context.custom_execution_callback_classes = [*there, *(c for c in classes if c not in there)]


def ends(actor: ray.ActorID) -> dict[bytes, str]:
    """Of the processes that an actor has had, as far as Ray remembers: what is known of their ends."""
    accessor = state._connect_and_get_accessor()
    if (raw := accessor.get_actor_info(actor)) is None:
        return {}
    processes = [before.worker_id for before in ActorTableData.FromString(raw).previous_incarnations]
    found = {process: accessor.get_worker_info(ray.WorkerID(process)) for process in processes}
    return {process: WorkerTableData.FromString(raw).exit_detail for process, raw in found.items() if raw is not None}


def tell(page: str) -> None:
    """The driver, as Ray's core does of tasks that are tried again."""
    me: Any = worker.global_worker
    publish_error_to_driver("out_of_memory", page, me.gcs_client, me.current_job_id)


class ShortOfMemory(ExecutionCallback):
    """Tells the driver of each actor that Ray ended for lack of memory, and ends the execution with RunLost where it ends
    one more often than a task, with no block made in between: for `DataContext.custom_execution_callback_classes`.

    Actors that end of something else, such as a machine that is lost, are started anew for as long as it takes. A thread
    watches, for the executor itself waits for an actor, which may be ended too.
    """

    def __init__(self) -> None:
        self._over = threading.Event()
        self._told: set[bytes] = set()  # processes
        self._kills: Counter[ray.ActorID] = Counter()  # since a block was made
        self._made = 0

    def before_execution_starts(self, executor: Any) -> None:
        pools = [(op, pool) for op in executor._topology for pool in op.get_autoscaling_actor_pools()]
        _, output = executor._output_node
        # Without the executor, which ends when nobody holds it.
        threading.Thread(target=self._watch, args=(pools, output), daemon=True, name="short of memory").start()

    def after_execution_succeeds(self, executor: Any) -> None:
        self._over.set()

    def after_execution_fails(self, executor: Any, error: Exception) -> None:
        self._over.set()

    def _watch(self, pools: list[tuple[Any, Any]], output: Any) -> None:
        restarted: set[ray.ActorID] = set()  # a handle would keep its actor alive
        asked = time.monotonic()
        while not self._over.wait(SEEN_S) and ray.is_initialized():
            for _, pool in pools:
                restarted |= {
                    a._actor_id for a in list(pool._actor_to_logical_id) if a._get_local_state() == RESTARTING
                }
            if restarted and time.monotonic() >= asked + ASKED_S:
                made = sum(op.metrics.num_task_outputs_generated for op, _ in pools)
                try:
                    for actor in restarted:
                        self.look(actor, made)
                except RunLost as fault:
                    output.mark_finished(fault)  # as the executor ends it
                    return
                restarted, asked = set(), time.monotonic()

    def look(self, actor: ray.ActorID, made: int) -> None:
        """At an actor that is started anew, when so many blocks are `made`."""
        if made != self._made:
            self._made = made
            self._kills.clear()
        for process, detail in ends(actor).items():
            if process in self._told or not (line := short_of_memory(detail)):
                continue
            self._told.add(process)
            tell(detail)
            self._kills[actor] += 1
            if 0 <= retries() < self._kills[actor]:
                raise RunLost(f"{line}; the same command goes on from here")

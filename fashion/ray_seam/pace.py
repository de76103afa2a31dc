"""Ray Data's executor rests where it would spin."""

import time
from collections.abc import Callable
from typing import Any

from ray.data._internal.execution.execution_callback import ExecutionCallback

LEAST_S, MOST_S = 0.005, 0.05  # a rest: doubled while nothing moves
WAITED_S = 0.05  # a pass as long as this has waited by itself


class Paced(ExecutionCallback):
    """Lets Ray Data's executor rest where it would spin: for `DataContext.custom_execution_callback_classes`.

    While the feed is ahead of its readers, an operator has a block ready that its memory does not let it read, so
    `ray.wait` in the executor's loop returns at once, and the loop takes most of a core, which the training needs. A pass
    in which nothing moved, and which did not wait by itself, is followed by a rest. A feed that is behind never rests:
    each of its passes either moves a block or waits for one inside `ray.wait`.
    """

    def __init__(self, sleep: Callable[[float], object] = time.sleep, clock: Callable[[], float] = time.perf_counter):
        self._sleep, self._clock = sleep, clock
        self._moved: list | None = None
        self._rest = LEAST_S
        self._began = clock()

    def on_execution_step(self, executor: Any) -> None:
        moved = [
            (m.num_tasks_submitted, m.num_task_outputs_generated, m.num_tasks_finished, m.num_outputs_taken)
            for m in (op.metrics for op in executor._topology)
        ]
        if moved == self._moved and self._clock() - self._began < WAITED_S:
            self._sleep(self._rest)
            self._rest = min(2 * self._rest, MOST_S)
        else:
            self._rest = LEAST_S
        self._moved, self._began = moved, self._clock()

"""A dataset of rows that are made when they are needed: of a million to come, neither the driver nor Ray holds any."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import ray
from ray.data import DataContext, Dataset
from ray.data._internal.execution.interfaces import PhysicalOperator, RefBundle
from ray.data._internal.execution.interfaces.ref_bundle import BlockEntry
from ray.data._internal.execution.operators.input_data_buffer import InputDataBuffer
from ray.data._internal.logical.interfaces import LogicalOperator, LogicalPlan, SourceOperator
from ray.data._internal.planner.planner import Planner
from ray.data._internal.stats import DatasetStats
from ray.data.block import BlockMetadataWithSchema

KEPT = 4096  # rows kept after they were given out: what was lost with a machine is made anew from them
ASKED_S = 0.25  # between two questions whether a row is ready: the answer may lie in a bucket

Row = dict[str, Any]


def rows_on_demand(
    row: Callable[[int], Row], count: int, *, ahead: int, ready: Callable[[int], bool] = lambda number: True
) -> Dataset:
    """A dataset of `row(0)` to `row(count - 1)`, a block each. So many of them are made `ahead` of those that a task was
    started for; each task of what follows is to take one. None is made before it is `ready`, nor any that comes after it.

    So no task has to wait for what it needs. One that does may wait for ever: an actor runs its tasks in the order in
    which Ray brings it their rows, so what waits may stand before what is waited for.
    """
    context = DataContext.get_current().copy()
    rows = OnDemand(row, count, ahead, ready)
    return Dataset(LogicalPlan(rows, context), context, DatasetStats(metadata={}, parent=None))


@dataclass(frozen=True, repr=False, eq=False)
class OnDemand(LogicalOperator, SourceOperator):
    """What the dataset begins with, in Ray Data's plan."""

    row: Callable[[int], Row]
    count: int
    ahead: int
    ready: Callable[[int], bool]
    _input_dependencies: list[LogicalOperator] = field(init=False, repr=False, default_factory=list)

    def output_data(self) -> None:
        return None

    @property
    def num_outputs(self) -> int:
        return self.count


class _Buffer(InputDataBuffer):
    """The same in its executor, which asks it whether there is more after each of its passes."""

    def __init__(self, context: DataContext, rows: OnDemand):
        super().__init__(context, input_data=[])
        self._estimated_num_output_bundles = rows.count  # type: ignore[assignment]  # None at first
        self._rows, self._made, self._kept = rows, 0, deque[RefBundle](maxlen=KEPT)
        self._ask_again = 0.0  # when, after a row that was not ready

    def has_next(self) -> bool:
        (taker,) = self.output_dependencies
        wanted = not self.has_completed() and self._made - taker.metrics.num_tasks_submitted < self._rows.ahead
        return wanted and self._ready()

    def _ready(self) -> bool:
        if time.monotonic() < self._ask_again:
            return False
        if self._rows.ready(self._made):
            return True
        self._ask_again = time.monotonic() + ASKED_S
        return False

    def has_completed(self) -> bool:
        return self._made == self._rows.count

    def _get_next_inner(self) -> RefBundle:
        block = pa.Table.from_pylist([self._rows.row(self._made)])
        metadata = BlockMetadataWithSchema.from_block(block)
        entry = BlockEntry(ray.put(block), metadata)  # type: ignore[arg-type]  # Ray has two types of that name
        bundle = RefBundle((entry,), owns_blocks=False, schema=metadata.schema)
        self._metrics.on_input_received(bundle)
        self._made += 1
        self._kept.append(bundle)
        return bundle


def _plan(rows: OnDemand, children: list[PhysicalOperator], context: DataContext) -> PhysicalOperator:
    return _Buffer(context, rows)


# Of each process that has a part in such a dataset: it has imported this.
Planner._DEFAULT_PLAN_FNS[OnDemand] = _plan

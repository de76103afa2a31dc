"""A dataset of rows that are made when they are needed: of a million to come, neither the driver nor Ray holds any."""

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

Row = dict[str, Any]


def rows_on_demand(row: Callable[[int], Row], count: int, *, ahead: int) -> Dataset:
    """A dataset of `row(0)` to `row(count - 1)`, a block each. So many of them are made `ahead` of those that a task was
    started for; each task of what follows is to take one."""
    context = DataContext.get_current().copy()
    rows = OnDemand(row, count, ahead)
    return Dataset(LogicalPlan(rows, context), context, DatasetStats(metadata={}, parent=None))


@dataclass(frozen=True, repr=False, eq=False)
class OnDemand(LogicalOperator, SourceOperator):
    """What the dataset begins with, in Ray Data's plan."""

    row: Callable[[int], Row]
    count: int
    ahead: int
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

    def has_next(self) -> bool:
        (taker,) = self.output_dependencies
        return not self.has_completed() and self._made - taker.metrics.num_tasks_submitted < self._rows.ahead

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

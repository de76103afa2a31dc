"""The training stream: one Ray Data execution for the whole run.

A ticket names a few steps of one epoch (fashion.data.plan), and is made when an actor is about to need it: nothing here
grows with epochs or items. Actors turn tickets into rows (fashion.data.feed), in the order of the plan. Ray's equal split
deals rows to the workers in turn, so with as many workers as slots each worker gets its slot of every step, and the global
batch is the same whatever their number. Re-executing a dataset each epoch would cost seconds before its first batch.
"""

import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray.data
from ray.data import ActorPoolStrategy, DataContext, ExecutionOptions, ExecutionResources

from fashion.data.feed import Feed, FeedSettings
from fashion.data.label_pictures import LabelTables
from fashion.data.plan import Plan
from fashion.data.table import ItemTable
from fashion.ray_seam.follow import Following
from fashion.ray_seam.on_demand import rows_on_demand
from fashion.ray_seam.pace import Paced
from fashion.ray_seam.short import ShortOfMemory, add_callbacks

if TYPE_CHECKING:
    import torch

AHEAD = 8  # tickets an actor that are made before they are needed
STILL_S = 86400.0  # the stream may stand still: while the workers validate, or find neighbours


class FeedActor(Feed):
    """The only work of a process."""

    def __init__(self, *arguments: Any) -> None:
        import torch  # here: the processes that only plan a feed need none

        torch.set_num_threads(1)
        super().__init__(*arguments)
        gc.freeze()  # else the collector walks all of Ray and torch again and again: up to a twentieth of the time


def steps(rows: "Iterable[dict[str, torch.Tensor]]") -> "Iterator[dict[str, torch.Tensor]]":
    """Rows of the stream, one at a time -> the micro-batches in them, one a step, without the leading dimensions."""
    for row in rows:
        for t in range(row["step"].shape[1]):
            yield {name: column[0, t] for name, column in row.items()}


def stream_options(memory: int) -> ExecutionOptions:
    """In the plan's order, with at most `memory` bytes of decoded batches waiting in the object store."""
    return ExecutionOptions(
        preserve_order=True, resource_limits=ExecutionResources.for_limits(object_store_memory=memory)
    )


@dataclass(frozen=True, kw_only=True)
class FeedActors:
    """How many there are of them, and what each takes."""

    start: int
    least: int
    most: int
    cpus: float

    def __post_init__(self) -> None:
        assert 1 <= self.least <= self.start <= self.most


@dataclass(frozen=True)
class Tickets:
    """Those that hold the given `steps` of the run, counted through its epochs, which end with an epoch: each is made from
    its number."""

    plan: Plan
    steps: range

    @property
    def first(self) -> tuple[int, int]:
        """The first one's number in the run, and how many of its own steps it skips."""
        epoch, step = divmod(self.steps.start, self.plan.steps)
        number, skipped = divmod(step, self.plan.ticket_steps)
        return epoch * self.plan.tickets() + number, skipped

    def __len__(self) -> int:
        return self.steps.stop // self.plan.steps * self.plan.tickets() - self.first[0]

    def ready(self, i: int) -> bool:
        return self.plan.ready((self.first[0] + i) // self.plan.tickets())

    def __call__(self, i: int) -> dict[str, int]:
        first, skipped = self.first
        epoch, number = divmod(first + i, self.plan.tickets())
        return {"epoch": epoch, "ticket": number, "skipped": 0 if i else skipped}


def training_stream(
    table: ItemTable,
    plan: Plan,
    settings: FeedSettings,
    labels: LabelTables | None = None,
    *,
    steps: range,
    actors: FeedActors,
) -> ray.data.Dataset:
    """The stream of the given `steps` of the run, counted through its epochs; it ends with an epoch. To be executed with
    `stream_options`: Ray Train takes those of its DataConfig, not of the dataset."""
    context = DataContext.get_current()
    context.target_max_block_size = 1  # a row is a block, so that the equal split deals whole micro-batches in turn
    context.enable_progress_bars = False
    context.memory_usage_poll_interval_s = None  # walks every page of the actor once a second
    context.execution_no_progress_timeout_s = STILL_S
    add_callbacks(context, Paced, Following, ShortOfMemory)
    tickets = Tickets(plan, steps)
    # As many ahead as actors may have at once: none waits for one.
    return rows_on_demand(tickets, len(tickets), ahead=AHEAD * actors.most, ready=tickets.ready).map_batches(
        FeedActor,
        fn_constructor_args=(table, plan, settings, labels),
        batch_size=1,
        compute=ActorPoolStrategy(min_size=actors.least, max_size=actors.most, initial_size=actors.start),
        num_cpus=actors.cpus,
    )

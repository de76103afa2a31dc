"""The training stream: one Ray Data execution for the whole run.

A ticket names a few steps of one epoch (fashion.data.plan), and is made when an actor is about to need it: nothing here
grows with epochs or items. Actors turn tickets into rows, in the order of the plan: a row holds consecutive steps of one
slot, one micro-batch each, and the rows of the slots follow one another. Ray's equal split deals rows to the workers in
turn, so with as many workers as slots each worker gets its slot of every step, and the global batch is the same whatever
their number. A row costs Ray the same large or small, so rows are made large.
Re-executing a dataset each epoch would cost seconds before its first batch.
"""

import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import ray.data
from ray.data import ActorPoolStrategy, DataContext, ExecutionOptions, ExecutionResources

from fashion.data.decoded import DecodedPictures
from fashion.data.group import Group
from fashion.data.hard_plan import HardPlan
from fashion.data.label_pictures import LabelFeed, LabelTables
from fashion.data.labels import Labeller
from fashion.data.plan import Plan, Ticket
from fashion.data.rows import ItemGroup, read_columns
from fashion.data.scattered import ScatteredReader
from fashion.data.table import ItemTable
from fashion.data.views import choose_pairs, choose_views
from fashion.domain import DOMAINS
from fashion.errors import InputError
from fashion.ray_seam.follow import Following
from fashion.ray_seam.on_demand import rows_on_demand
from fashion.ray_seam.pace import Paced
from fashion.vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch

AHEAD = 8  # tickets an actor that are made before they are needed
STILL_S = 86400.0  # the stream may stand still: while the workers validate, or find neighbours
ROW_BYTES = 64 << 20  # a row takes steps up to so many bytes of pixels, and one step at least


@dataclass(frozen=True, kw_only=True)
class FeedSettings:
    """What a micro-batch holds, and what an actor may keep."""

    views: int  # K, pictures an item
    size: int  # side of the decoded square pictures, pixels
    slots: int  # micro-batches a step, one for each worker
    crop: str  # whole or box
    fit: str = "stretch"  # as decode has it
    interpolation: str = "bilinear"
    pairs: bool  # views are annotated pairs: a consumer photo and a shop photo that it is paired with
    vocabulary: Vocabulary | None = None  # add the labels of each view, in this order
    cache: int = 0  # bytes of decoded pictures that an actor keeps

    def __post_init__(self) -> None:
        assert self.views > 0 and self.size > 0 and self.slots > 0 and self.crop in ("whole", "box")


class Feed:
    """Ticket -> rows of micro-batches of `P / slots` items x K decoded views; lives as long as the stream."""

    def __init__(self, table: ItemTable, plan: Plan, settings: FeedSettings, labels: LabelTables | None = None):
        self.table, self.plan, self.settings = table, plan, settings
        s = settings
        self.decoded = DecodedPictures(s.cache)
        self.categories = {name: i for i, name in enumerate(table.categories)}
        self.items = plan.items_per_step // s.slots  # b, items of a micro-batch
        self.labeller = Labeller(s.vocabulary, table, s.crop) if s.vocabulary else None
        self.labelled = (
            LabelFeed(labels, s.vocabulary, size=s.size, slots=s.slots, crop=s.crop, interpolation=s.interpolation)
            if labels and s.vocabulary
            else None
        )
        step_bytes = self.items * s.views * 3 * s.size**2 + (self.labelled.step_bytes if self.labelled else 0)
        self.row_steps = max(1, ROW_BYTES // step_bytes)
        fields = ["domain"]
        fields += ["box"] if s.crop == "box" else []
        fields += ["image", "pairs"] if s.pairs else []
        fields += ["category"] if table.positives == "category" else []
        fields += self.labeller.columns if self.labeller else []
        self.columns = read_columns(fields)
        self.scattered = ScatteredReader(table, self.columns, kept=s.cache) if isinstance(plan, HardPlan) else None

    def __call__(self, rows: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        for epoch, number, skipped in zip(rows["epoch"], rows["ticket"], rows["skipped"], strict=True):
            yield from self.rows(self.plan.ticket(int(epoch), int(number)), skipped=int(skipped))

    def rows(self, ticket: Ticket, *, skipped: int = 0) -> Iterator[dict[str, np.ndarray]]:
        """The rows of one ticket but its first `skipped` steps, each array with a leading dimension of 1 and then T steps.

        `epoch`, `step`, `slot` (1, T); `label` (1, T, b); `domain`, `image` (its place in its item), `pair` (1, T, b,
        K); `images` (1, T, b, K, 3, size, size) uint8; with a vocabulary, the arrays of `Labeller.blank` (1, T, b, K, ...);
        with tables for their labels alone, those of `label_pictures.Chosen` (1, T, m, ...).
        """
        if self.scattered:
            tables = self.scattered.read(ticket)
        else:
            tables = self.table.read_groups([(group.shard, group.index) for group in ticket.groups], self.columns)
        groups = [ItemGroup(rows) for rows in tables]
        of_run = ticket.epoch * self.plan.steps + ticket.first_step
        labelled = self.labelled.choose(of_run, ticket.steps) if self.labelled else None
        for first in range(skipped, ticket.steps, self.row_steps):
            steps = range(first, min(first + self.row_steps, ticket.steps))
            for slot in range(self.settings.slots):
                row = self._row(ticket, groups, steps, slot)
                yield row | (labelled.arrays(steps, slot) if labelled else {})

    def _row(self, ticket: Ticket, groups: list[ItemGroup], steps: range, slot: int) -> dict[str, np.ndarray]:
        s = self.settings
        T, b, K, size = len(steps), self.items, s.views, s.size
        label = np.empty((1, T, b), np.int64)
        domain, image, pair = (np.empty((1, T, b, K), np.int64) for _ in range(3))
        pixels = np.empty((1, T, b, K, 3, size, size), np.uint8)
        labels = self.labeller.blank(1, T, b, K) if self.labeller else {}
        for t, step in enumerate(steps):
            first = step * self.plan.items_per_step + slot * b
            numbers, places = (x[first : first + b].tolist() for x in (ticket.group, ticket.row))
            for i, (number, place) in enumerate(zip(numbers, places, strict=True)):
                group = groups[number]
                label[0, t, i] = self._label(ticket.groups[number], group, place)
                views = self._views(group, place, ticket.epoch)
                image[0, t, i], pair[0, t, i] = zip(*views, strict=True)
                at = group.start[place]
                domain[0, t, i] = [DOMAINS.index(group.columns["domain"][at + j]) for j, _ in views]
                for k, (j, _) in enumerate(views):
                    picture = ticket.groups[number].start + place, j
                    pixels[0, t, i, k] = self.decoded.get(picture, partial(self._pixels, group, at + j))
                    if self.labeller:
                        self.labeller.put(labels, (0, t, i, k), group.columns, at + j)
        order = {
            "epoch": np.full((1, T), ticket.epoch),
            "step": ticket.first_step + np.arange(steps.start, steps.stop)[None],
            "slot": np.full((1, T), slot),
        }
        return order | {"label": label, "domain": domain, "image": image, "pair": pair, "images": pixels, **labels}

    def _pixels(self, group: ItemGroup, picture: int) -> np.ndarray:
        s = self.settings
        return group.pixels(picture, s.size, s.crop, fit=s.fit, interpolation=s.interpolation)

    def _views(self, group: ItemGroup, row: int, epoch: int) -> list[tuple[int, int]]:
        """(image of the item, the image that it is paired with) of each view."""
        draw = {"seed": self.plan.seed, "epoch": epoch, "item": group.items[row]}
        domains = group.of("domain", row)
        if self.settings.pairs:
            return choose_pairs(domains, group.of("image", row), group.of("pairs", row), self.settings.views, **draw)
        return [(j, j) for j in choose_views(domains, self.settings.views, **draw)]

    def _label(self, planned: Group, group: ItemGroup, row: int) -> int:
        if self.table.positives == "item":
            return planned.start + row
        name = group.of("category", row)[0]
        if name is None:
            raise InputError(
                f"item {group.items[row]!r} has no category: expected one for every image of this benchmark"
            )
        return self.categories[name]


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
    for callback in (Paced, Following):
        if callback not in context.custom_execution_callback_classes:
            context.custom_execution_callback_classes = [*context.custom_execution_callback_classes, callback]
    tickets = Tickets(plan, steps)
    # As many ahead as actors may have at once: none waits for one.
    return rows_on_demand(tickets, len(tickets), ahead=AHEAD * actors.most, ready=tickets.ready).map_batches(
        FeedActor,
        fn_constructor_args=(table, plan, settings, labels),
        batch_size=1,
        compute=ActorPoolStrategy(min_size=actors.least, max_size=actors.most, initial_size=actors.start),
        num_cpus=actors.cpus,
    )

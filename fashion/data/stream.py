"""The training stream: one Ray Data execution for the whole run.

A ticket names a few steps of one epoch (fashion.data.plan). Actors turn tickets into rows, in the order of the plan: a
row holds consecutive steps of one slot, one micro-batch each, and the rows of the slots follow one another. Ray's equal
split deals rows to the workers in turn, so with as many workers as slots each worker gets its slot of every step, and
the global batch is the same whatever their number. A row costs Ray the same large or small, so rows are made large.
Re-executing a dataset each epoch would cost seconds before its first batch.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import ray.data
import torch
from ray.data import ActorPoolStrategy, DataContext, ExecutionOptions, ExecutionResources

from fashion.data.decode import decode
from fashion.data.plan import Group, Plan, Ticket
from fashion.data.schema import DOMAINS
from fashion.data.table import ItemTable
from fashion.data.views import choose_pairs, choose_views
from fashion.errors import InputError

ROW_BYTES = 16 << 20  # a row takes steps up to so many bytes of pixels, and one step at least


@dataclass(frozen=True, kw_only=True)
class FeedSettings:
    """What a micro-batch holds."""

    views: int  # K, pictures an item
    size: int  # side of the decoded square pictures, pixels
    slots: int  # micro-batches a step, one for each worker
    crop: str  # whole or box
    pairs: bool  # views are annotated pairs: a consumer photo and a shop photo that it is paired with

    def __post_init__(self):
        assert self.views > 0 and self.size > 0 and self.slots > 0 and self.crop in ("whole", "box")


class Feed:
    """Ticket -> rows of micro-batches of `P / slots` items x K decoded views; lives as long as the stream."""

    def __init__(self, table: ItemTable, plan: Plan, settings: FeedSettings):
        torch.set_num_threads(1)
        self.table, self.plan, self.settings = table, plan, settings
        self.categories = {name: i for i, name in enumerate(table.categories)}
        self.items = plan.items_per_step // settings.slots  # b, items of a micro-batch
        self.row_steps = max(1, ROW_BYTES // (self.items * settings.views * 3 * settings.size**2))
        self.fields = ["domain", "jpeg"]
        self.fields += ["box"] if settings.crop == "box" else []
        self.fields += ["image", "pairs"] if settings.pairs else []
        self.fields += ["category"] if table.positives == "category" else []

    def __call__(self, rows: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        for epoch, number in zip(rows["epoch"], rows["ticket"], strict=True):
            yield from self.rows(self.plan.ticket(int(epoch), int(number)))

    def rows(self, ticket: Ticket) -> Iterator[dict[str, np.ndarray]]:
        """The rows of one ticket, each array with a leading dimension of 1 and then T steps.

        `epoch`, `step`, `slot` (1, T); `label` (1, T, b); `domain`, `image` (its place in its item), `pair` (1, T, b,
        K); `images` (1, T, b, K, 3, size, size) uint8.
        """
        columns = ["item", *(f"images.list.element.{name}" for name in self.fields)]
        groups = [_Group(self.table.read(group.shard, group.index, columns)) for group in ticket.groups]
        for first in range(0, ticket.steps, self.row_steps):
            steps = range(first, min(first + self.row_steps, ticket.steps))
            for slot in range(self.settings.slots):
                yield self._row(ticket, groups, steps, slot)

    def _row(self, ticket: Ticket, groups: list["_Group"], steps: range, slot: int) -> dict[str, np.ndarray]:
        T, b, K, size = len(steps), self.items, self.settings.views, self.settings.size
        label = np.empty((1, T, b), np.int64)
        domain, image, pair = (np.empty((1, T, b, K), np.int64) for _ in range(3))
        pixels = np.empty((1, T, b, K, 3, size, size), np.uint8)
        for t, step in enumerate(steps):
            first = step * self.plan.items_per_step + slot * b
            numbers, places = (x[first : first + b].tolist() for x in (ticket.group, ticket.row))
            for i, (number, place) in enumerate(zip(numbers, places, strict=True)):
                group = groups[number]
                label[0, t, i] = self._label(ticket.groups[number], group, place)
                views = self._views(group, place, ticket.epoch)
                image[0, t, i], pair[0, t, i] = zip(*views, strict=True)
                held = group.start[place]
                domain[0, t, i] = [DOMAINS.index(group.columns["domain"][held + j]) for j, _ in views]
                for k, (j, _) in enumerate(views):
                    box = group.columns["box"][held + j] if self.settings.crop == "box" else None
                    pixels[0, t, i, k] = decode(group.jpeg(held + j), size=(size, size), box=box)
        about = {
            "epoch": np.full((1, T), ticket.epoch),
            "step": ticket.first_step + np.arange(steps.start, steps.stop)[None],
            "slot": np.full((1, T), slot),
        }
        return about | {"label": label, "domain": domain, "image": image, "pair": pair, "images": pixels}

    def _views(self, group: "_Group", row: int, epoch: int) -> list[tuple[int, int]]:
        """(image of the item, the image that it is paired with) of each view."""
        draw = {"seed": self.plan.seed, "epoch": epoch, "item": group.items[row]}
        domains = group.of("domain", row)
        if self.settings.pairs:
            return choose_pairs(domains, group.of("image", row), group.of("pairs", row), self.settings.views, **draw)
        return [(j, j) for j in choose_views(domains, self.settings.views, **draw)]

    def _label(self, planned: Group, group: "_Group", row: int) -> int:
        if self.table.positives == "item":
            return planned.start + row
        name = group.of("category", row)[0]
        if name is None:
            raise InputError(
                f"item {group.items[row]!r} has no category: expected one for every image of this benchmark"
            )
        return self.categories[name]


class _Group:
    """A row group by columns: pictures that nobody chooses stay undisturbed in Arrow's memory."""

    def __init__(self, rows: pa.Table):
        images = rows["images"].combine_chunks()
        self.items = rows["item"].to_pylist()
        self.start = (images.offsets.to_numpy() - images.offsets[0].as_py()).tolist()
        flat = images.flatten()
        columns = dict(zip((field.name for field in flat.type), flat.flatten(), strict=True))
        jpegs = columns.pop("jpeg")
        _, ends, data = jpegs.buffers()  # an Arrow scalar for each picture would cost more than copying it
        self.ends = np.frombuffer(ends, np.int64)[jpegs.offset :].tolist()
        self.bytes = memoryview(data)
        self.columns = {name: column.to_pylist() for name, column in columns.items()}

    def of(self, name: str, row: int) -> list:
        """The column's values of one item's images."""
        return self.columns[name][self.start[row] : self.start[row + 1]]

    def jpeg(self, picture: int) -> bytes:
        return bytes(self.bytes[self.ends[picture] : self.ends[picture + 1]])


def steps(rows: Iterable[dict[str, torch.Tensor]]) -> Iterator[dict[str, torch.Tensor]]:
    """Rows of the stream, one at a time -> the micro-batches in them, one a step, without the leading dimensions."""
    for row in rows:
        for t in range(row["step"].shape[1]):
            yield {name: column[0, t] for name, column in row.items()}


def stream_options(memory: int) -> ExecutionOptions:
    """In the plan's order, with at most `memory` bytes of decoded batches waiting in the object store."""
    return ExecutionOptions(
        preserve_order=True, resource_limits=ExecutionResources.for_limits(object_store_memory=memory)
    )


def training_stream(
    table: ItemTable, plan: Plan, settings: FeedSettings, *, epochs: range, actors: int, actor_cpus: float
) -> ray.data.Dataset:
    """The stream of the given epochs. To be executed with `stream_options`: Ray Train takes those of its DataConfig,
    not of the dataset."""
    context = DataContext.get_current()
    context.target_max_block_size = 1  # a row is a block, so that the equal split deals whole micro-batches in turn
    context.enable_progress_bars = False
    context.memory_usage_poll_interval_s = None  # walks every page of the actor once a second
    tickets = [{"epoch": e, "ticket": t} for e in epochs for t in range(plan.tickets())]
    return ray.data.from_items(tickets, override_num_blocks=len(tickets)).map_batches(
        Feed,
        fn_constructor_args=(table, plan, settings),
        batch_size=1,
        compute=ActorPoolStrategy(size=actors),
        num_cpus=actor_cpus,
    )

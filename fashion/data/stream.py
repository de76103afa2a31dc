"""The training stream: one Ray Data execution for the whole run.

A ticket names a few steps of one epoch (fashion.data.plan). Actors turn tickets into micro-batches, one row each, in
the order of the plan; row r of the stream belongs to step r // slots and slot r % slots. Ray's equal split deals rows
to the workers in turn, so with W workers (W divides `slots`) each step's rows reach the workers together, and the
global batch is the same whatever W is. Re-executing a dataset each epoch would cost seconds before its first batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import ray.data
import torch
from ray.data import ActorPoolStrategy, DataContext, ExecutionOptions, ExecutionResources

from fashion.data.decode import decode
from fashion.data.plan import Plan, Ticket
from fashion.data.schema import DOMAINS
from fashion.data.table import ItemTable
from fashion.data.views import choose_pairs, choose_views
from fashion.errors import InputError


@dataclass(frozen=True, kw_only=True)
class FeedSettings:
    """What a micro-batch holds."""

    views: int  # K, pictures an item
    size: int  # side of the decoded square pictures, pixels
    slots: int  # micro-batches a step; every number of workers that divides it sees the same global batches
    crop: str  # whole or box
    pairs: bool  # views are annotated pairs: a consumer photo and a shop photo that it is paired with

    def __post_init__(self):
        assert self.views > 0 and self.size > 0 and self.slots > 0 and self.crop in ("whole", "box")


class Feed:
    """Ticket -> micro-batches of `P / slots` items x K decoded views; lives as long as the stream."""

    def __init__(self, table: ItemTable, plan: Plan, settings: FeedSettings):
        torch.set_num_threads(1)
        self.table, self.plan, self.settings = table, plan, settings
        self.categories = {name: i for i, name in enumerate(table.categories)}

    def __call__(self, rows: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        for epoch, number in zip(rows["epoch"], rows["ticket"], strict=True):
            yield from self.batches(self.plan.ticket(int(epoch), int(number)))

    def batches(self, ticket: Ticket) -> Iterator[dict[str, np.ndarray]]:
        """The micro-batches of one ticket, each an array with a leading dimension of 1."""
        groups = [self.table.read(group.shard, group.index) for group in ticket.groups]
        per_slot = self.plan.items_per_step // self.settings.slots
        for start in range(0, len(ticket.row), per_slot):
            places = range(start, start + per_slot)
            items = [groups[ticket.group[i]].slice(ticket.row[i], 1) for i in places]
            labels = [ticket.groups[ticket.group[i]].start + ticket.row[i] for i in places]
            batch = self.micro_batch(ticket.epoch, [item.to_pylist()[0] for item in items], labels)
            step = ticket.first_step + start // self.plan.items_per_step
            slot = start % self.plan.items_per_step // per_slot
            yield {"epoch": np.array([ticket.epoch]), "step": np.array([step]), "slot": np.array([slot])} | batch

    def micro_batch(self, epoch: int, items: list[dict], labels: list[int]) -> dict[str, np.ndarray]:
        """`label` (1, b), `domain`, `image` and `pair` (1, b, K), `images` (1, b, K, 3, size, size) uint8."""
        s = self.settings
        b = len(items)
        label = np.zeros((1, b), np.int64)
        domain, image, pair = (np.zeros((1, b, s.views), np.int64) for _ in range(3))
        pixels = np.empty((1, b, s.views, 3, s.size, s.size), np.uint8)
        for i, item in enumerate(items):
            pictures = item["images"]
            draw = {"seed": self.plan.seed, "epoch": epoch, "item": item["item"]}
            domains = [p["domain"] for p in pictures]
            if s.pairs:
                chosen = choose_pairs(
                    domains, [p["image"] for p in pictures], [p["pairs"] for p in pictures], s.views, **draw
                )
            else:
                chosen = [(j, j) for j in choose_views(domains, s.views, **draw)]
            label[0, i] = labels[i] if self.table.positives == "item" else self._category(item)
            for k, (j, partner) in enumerate(chosen):
                picture = pictures[j]
                domain[0, i, k] = DOMAINS.index(picture["domain"])
                pair[0, i, k] = partner
                image[0, i, k] = j
                box = picture["box"] if s.crop == "box" else None
                pixels[0, i, k] = decode(picture["jpeg"], size=(s.size, s.size), box=box)
        return {"label": label, "domain": domain, "image": image, "pair": pair, "images": pixels}

    def _category(self, item: dict) -> int:
        name = item["images"][0]["category"]
        if name is None:
            raise InputError(f"item {item['item']!r} has no category: expected one for every image of this benchmark")
        return self.categories[name]


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
    tickets = [{"epoch": e, "ticket": t} for e in epochs for t in range(plan.tickets())]
    return ray.data.from_items(tickets, override_num_blocks=len(tickets)).map_batches(
        Feed,
        fn_constructor_args=(table, plan, settings),
        batch_size=1,
        compute=ActorPoolStrategy(size=actors),
        num_cpus=actor_cpus,
    )

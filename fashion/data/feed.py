"""What an actor of the training stream does: a ticket of the plan -> rows of decoded micro-batches; without Ray.

A row holds consecutive steps of one slot, one micro-batch each, and the rows of the slots follow one another. A row costs
Ray the same large or small, so rows are made large.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

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
from fashion.vocabulary import Vocabulary

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

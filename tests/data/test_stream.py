"""The training stream on a running Ray: what it gives, and what it takes of the machine while nobody reads."""

import itertools
import time

import psutil
import pytest
from ray.data import ActorPoolStrategy, DataContext

from fashion.data.plan import Plan
from fashion.data.stream import FeedSettings, Tickets, steps, stream_options, training_stream
from fashion.ray_seam.on_demand import rows_on_demand
from fashion.ray_seam.pace import Paced
from fashion.storage import Store
from tests.catalogues import make_table, photos

EPOCHS, ITEMS, HELD_S = 40, 32, 4.0


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_table(Store(tmp_path_factory.mktemp("table")), photos(128, splits=("train",)))


def stream_of(table, memory):
    plan = Plan.of(table.shards("train"), items_per_step=ITEMS, seed=0)
    feed = FeedSettings(views=2, size=96, slots=1, crop="whole", pairs=False)
    dataset = training_stream(table, plan, feed, steps=range(EPOCHS * plan.steps), actors=1, actor_cpus=1.0)
    dataset.context.execution_options = stream_options(memory)
    return plan, dataset


def test_a_feed_that_is_ahead_leaves_the_machine_to_the_trainer_and_then_goes_on(ray_running, table):
    """The executor runs in this process. Without a rest it takes most of a core while its output is held back."""
    plan, dataset = stream_of(table, memory=8 << 20)
    assert Paced in dataset.context.custom_execution_callback_classes
    batches = steps(dataset.iter_torch_batches(batch_size=1, prefetch_batches=1))
    seen = [next(batches)]
    time.sleep(HELD_S)  # until all that may wait does
    before = time.process_time()
    time.sleep(HELD_S)
    assert (time.process_time() - before) / HELD_S < 0.15
    seen += batches
    order = [(int(batch["epoch"]), int(batch["step"])) for batch in seen]
    assert order == [(epoch, step) for epoch in range(EPOCHS) for step in range(plan.steps)]


def test_rows_to_come_are_held_by_nobody(ray_running):
    """Of a billion, only those are made that are about to be needed, in their order."""
    context = DataContext.get_current()
    context.enable_progress_bars, context.target_max_block_size = False, 1
    made = []

    class Doubled:
        def __call__(self, rows):
            yield {"number": rows["number"], "twice": 2 * rows["number"]}

    def row(number):
        made.append(number)
        return {"number": number}

    before = psutil.Process().memory_info().rss
    dataset = rows_on_demand(row, 10**9, ahead=16).map_batches(
        Doubled, batch_size=1, compute=ActorPoolStrategy(size=2), num_cpus=0.5
    )
    dataset.context.execution_options = stream_options(8 << 20)
    rows = itertools.islice(dataset.iter_batches(batch_size=1, prefetch_batches=1), 300)
    assert [(int(r["number"][0]), int(r["twice"][0])) for r in rows] == [(i, 2 * i) for i in range(300)]
    assert made == list(range(len(made))) and len(made) < 100_000  # the executor goes on while rows fit its memory
    assert psutil.Process().memory_info().rss - before < 100 << 20


def test_tickets_are_counted_through_the_epochs_and_entered_at_any_step(table):
    plan = Plan.of(table.shards("train"), items_per_step=ITEMS, seed=0)
    whole = Tickets(plan, range(3 * plan.steps))
    listed = [{"epoch": e, "ticket": t, "skipped": 0} for e in range(3) for t in range(plan.tickets())]
    assert [whole(i) for i in range(len(whole))] == listed
    for first in range(3 * plan.steps):
        entered = Tickets(plan, range(first, 3 * plan.steps))
        found = [entered(i) for i in range(len(entered))]
        begin = found[0]["epoch"] * plan.steps + found[0]["ticket"] * plan.ticket_steps + found[0]["skipped"]
        assert begin == first and found[1:] == listed[len(listed) - len(found) + 1 :]

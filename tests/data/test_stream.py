"""The training stream on a running Ray: what it gives, and what it takes of the machine while nobody reads."""

import itertools
import os
import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import ray
from ray.data import ActorPoolStrategy, DataContext

from fashion.data import stream
from fashion.data.feed import FeedSettings
from fashion.data.hard_plan import HardPlan
from fashion.data.mining import MiningSettings
from fashion.data.neighbours import Neighbours, write_neighbours
from fashion.data.plan import Plan
from fashion.data.stream import FeedActors, Tickets, steps, stream_options, training_stream
from fashion.ray_seam import follow, on_demand
from fashion.ray_seam.follow import Following
from fashion.ray_seam.on_demand import rows_on_demand
from fashion.ray_seam.pace import Paced
from fashion.storage import Store
from tests.catalogues import make_table, photos
from tests.processes import descendants

EPOCHS, ITEMS, HELD_S = 40, 32, 4.0


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_table(Store(tmp_path_factory.mktemp("table")), photos(128, splits=("train",)))


def stream_of(table, memory):
    plan = Plan.of(table.shards("train"), items_per_step=ITEMS, seed=0)
    feed = FeedSettings(views=2, size=96, slots=1, crop="whole", pairs=False)
    dataset = training_stream(
        table, plan, feed, steps=range(EPOCHS * plan.steps), actors=FeedActors(start=1, least=1, most=1, cpus=1.0)
    )
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


def test_no_actor_waits_for_neighbours_that_batches_not_yet_made_lead_to(ray_running, table, tmp_path, monkeypatch):
    """The only actor gets the ticket of epoch 0 last of those that are made, as on a busy machine. One that already had
    that of epoch 1 would wait for its neighbours, and they come after epoch 0."""

    here, started = os.getpid(), tmp_path / "started"

    class Noticed(FeedSettings):
        def __getattribute__(self, name):
            if name == "cache" and os.getpid() != here:  # an actor asks for it when it starts
                started.touch()
            return super().__getattribute__(name)

    @ray.remote(num_cpus=0)
    def late(block):
        while not started.exists():
            time.sleep(0.1)
        time.sleep(5)
        return block

    def put(block):
        return late.remote(block) if block["epoch"][0].as_py() == 0 else ray.put(block)

    monkeypatch.setattr(on_demand, "ray", SimpleNamespace(put=put))
    run, epochs, N = Store(tmp_path / "run"), 4, 128
    plan = Plan.of(table.shards("train"), items_per_step=ITEMS, seed=0)
    assert plan.tickets() == 1
    hard = HardPlan.over(plan, MiningSettings(every=1, start=1, group=2), run, table.fingerprint)
    feed = Noticed(views=2, size=32, slots=1, crop="whole", pairs=False)
    dataset = training_stream(
        table, hard, feed, steps=range(epochs * plan.steps), actors=FeedActors(start=1, least=1, most=1, cpus=1.0)
    )
    dataset.context.execution_options = stream_options(64 << 20)
    dataset.context.execution_no_progress_timeout_s = 60  # else a stream that stands still does so for a day
    nearest = ((np.arange(N)[:, None] + np.arange(1, 5)) % N).astype(np.int32)
    origin = {"data": table.fingerprint}
    found = Neighbours(nearest_NK=nearest, similarity_NK=np.zeros((N, 4), np.float32), origin=origin)
    seen = []
    for batch in steps(dataset.iter_torch_batches(batch_size=1, prefetch_batches=0)):
        seen.append((int(batch["epoch"]), int(batch["step"])))
        if len(seen) % plan.steps == 0:
            write_neighbours(run, len(seen) // plan.steps, found)
    assert seen == [(epoch, step) for epoch in range(epochs) for step in range(plan.steps)]


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


def test_the_stream_is_the_same_for_any_number_of_actors_at_any_time(ray_running, table, monkeypatch):
    """Three actors, one, three and so on, a change as often as the pool is looked at; and one is killed on the way."""
    plan = Plan.of(table.shards("train"), items_per_step=ITEMS, seed=0)
    feed = FeedSettings(views=2, size=48, slots=2, crop="whole", pairs=False)
    epochs, changes = 40, []

    class Wavering(Following):
        WINDOW_S, ROWS = 0.2, 1

        def _change(self, wanted):
            before = self._working(), self._pool.num_pending_actors()
            super()._change(3 if self._actors == 1 else 1)
            changes.append((before, self._working(), self._pool.num_pending_actors()))

    def read(actors):
        dataset = training_stream(table, plan, feed, steps=range(epochs * plan.steps), actors=actors)
        dataset.context.execution_options = stream_options(2 << 20)
        for batch in dataset.iter_batches(batch_size=1, prefetch_batches=1):
            time.sleep(0.02)
            yield batch

    monkeypatch.setattr(stream, "Following", Wavering)
    monkeypatch.setattr(follow, "needed", lambda seen, patience: 1)
    fixed = read(FeedActors(start=1, least=1, most=1, cpus=1.0))
    wavering = read(FeedActors(start=3, least=1, most=3, cpus=1.0))
    rows = 0
    for a, b in zip(fixed, wavering, strict=True):
        rows += 1
        if rows == 20:
            [*_, actor] = [p for p, name in descendants().items() if "MapWorker(MapBatches(FeedActor))" in name]
            actor.kill()
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    assert rows == 2 * epochs * plan.tickets()
    fewer, more = ([c for c in changes if better(c)] for better in (lambda c: c[1] < c[0][0], lambda c: c[2] > c[0][1]))
    assert fewer and more, changes

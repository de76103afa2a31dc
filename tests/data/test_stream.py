"""The training stream on a running Ray: what it gives, and what it takes of the machine while nobody reads."""

import time

import pytest

from fashion.data.plan import Plan
from fashion.data.stream import FeedSettings, steps, stream_options, training_stream
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

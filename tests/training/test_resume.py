"""A resumed run goes on exactly; the stream gives the same global batch to any number of slots."""

from dataclasses import replace

import pytest
import torch

from fashion.data import stream
from fashion.data.demo import write_demo
from fashion.data.plan import Plan
from fashion.data.prepare import prepare
from fashion.data.stream import Feed, FeedSettings, steps
from fashion.data.table_settings import TableSettings
from fashion.losses import LossSettings, build_loss
from fashion.networks.files import load_network
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.storage import Store
from fashion.training.checkpoint import NETWORK, read_training_state, write_checkpoint
from fashion.training.loop import Trainer
from fashion.training.settings import BatchSettings, TrainSettings
from fashion.training.validate import Validation
from tests.training import running
from tests.training.running import numbers

SETTINGS = TrainSettings(
    epochs=4,
    batch=BatchSettings(items=8),
    network=NetworkSettings(size=32, width=0.25, dimension=16),
    loss=LossSettings(name="triplet", mining="random", memory=24),
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def table(tmp_path_factory, ray_running):
    root = tmp_path_factory.mktemp("resume")
    write_demo(root / "catalogue", items=40, seed=3, workers=1)
    return prepare(
        Store(root / "catalogue"), Store(root / "table"), TableSettings(), warn=print, progress=lambda *_: None
    )


def rows(table, plan, epochs, **changes):
    options = {"views": 2, "size": 32, "slots": 1, "crop": "whole", "pairs": False} | changes
    feed = Feed(table, plan, FeedSettings(**options))
    for epoch in epochs:
        for number in range(plan.tickets()):
            for row in feed.rows(plan.ticket(epoch, number)):
                yield {name: torch.from_numpy(value) for name, value in row.items()}


def batches(table, plan, epochs):
    return steps(rows(table, plan, epochs))


def make(table, plan):
    network = build_network(SETTINGS.network, seed=0)
    loss = build_loss(replace(SETTINGS.loss, domains="cross"), dimension=16, classes=plan.items)
    return Trainer(SETTINGS, network, loss, steps=plan.steps, device=CPU)


def run(trainer, table, stream, until=None):
    running.run(trainer, stream, Validation(table, items=100, size=32, crop="whole", threads=1), until)


def test_a_resumed_run_ends_bit_for_bit_as_an_unbroken_one(table, tmp_path):
    plan = Plan.of(table.shards("train"), items_per_step=8, seed=0)
    whole = make(table, plan)
    run(whole, table, batches(table, plan, range(4)))
    first = make(table, plan)
    run(first, table, batches(table, plan, range(2)), until=1)
    about = {"settings": SETTINGS.identity(), "data": {}, "versions": {}}
    write_checkpoint(str(tmp_path), first.network, first.state(), history=first.history, run=about)

    network, _ = load_network(Store(tmp_path), NETWORK)
    loss = build_loss(replace(SETTINGS.loss, domains="cross"), dimension=16, classes=plan.items)
    second = Trainer(SETTINGS, network, loss, steps=plan.steps, device=CPU)
    second.restore(*read_training_state(str(tmp_path)))
    run(second, table, batches(table, plan, range(2, 4)))

    assert numbers(second.history) == numbers(whole.history) and len(whole.history) == 4
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name]), name
    assert second.loss.state_dict().keys() == whole.loss.state_dict().keys()
    assert all(torch.equal(a, second.loss.state_dict()[n]) for n, a in whole.loss.state_dict().items())


def test_a_stream_out_of_step_stops_the_run(table):
    plan = Plan.of(table.shards("train"), items_per_step=8, seed=0)
    late = list(batches(table, plan, range(1)))[1:]
    with pytest.raises(RuntimeError, match=r"the stream gave \(epoch, step, slot\) \(0, 1, 0\), expected \(0, 0, 0\)"):
        run(make(table, plan), table, iter(late))
    with pytest.raises(RuntimeError, match="ended at epoch 0, step 2"):
        run(make(table, plan), table, iter(list(batches(table, plan, range(1)))[:2]))


def test_the_global_batch_is_the_same_for_every_number_of_slots_and_size_of_a_row(table, monkeypatch):
    plan = Plan.of(table.shards("train"), items_per_step=8, seed=0)
    whole = list(batches(table, plan, [1]))
    assert [int(batch["step"]) for batch in whole] == list(range(plan.steps))
    for slots, row_bytes in ((1, 1), (2, 100_000), (8, 1 << 30)):
        monkeypatch.setattr(stream, "ROW_BYTES", row_bytes)
        found = list(rows(table, plan, [1], slots=slots))
        lengths = {row["step"].shape[1] for row in found}
        assert (lengths == {1}) if row_bytes == 1 else (max(lengths) > 1)
        workers = [list(steps(iter(found[slot::slots]))) for slot in range(slots)]  # as Ray deals them
        for step, parts in enumerate(zip(*workers, strict=True)):
            assert [(int(p["step"]), int(p["slot"])) for p in parts] == [(step, i) for i in range(slots)]
            for name in ("label", "domain", "image", "images"):
                assert torch.equal(torch.cat([p[name] for p in parts]), whole[step][name]), name


def test_pairs_in_the_stream_are_annotated_pairs(table):
    plan = Plan.of(table.shards("train"), items_per_step=8, seed=0)
    for batch in steps(rows(table, plan, [0], pairs=True)):
        assert batch["domain"].tolist() == [[0, 1]] * 8  # consumer, then its shop photo
        assert torch.equal(batch["pair"][:, 0], batch["pair"][:, 1]) and (batch["pair"] >= 0).all()

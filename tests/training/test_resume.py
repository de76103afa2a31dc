"""A resumed run goes on exactly; the stream gives the same global batch to any number of slots."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from safetensors.torch import save_file

from fashion.data import feed
from fashion.data.feed import Feed, FeedSettings
from fashion.data.plan import Plan
from fashion.data.prepare.run import prepare
from fashion.data.settings import TableSettings
from fashion.data.stream import steps
from fashion.demo.catalogue import write_demo
from fashion.losses import LossSettings, build_loss
from fashion.networks.embnet import EmbNet
from fashion.networks.files import load_network
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.storage import Store
from fashion.training import loop
from fashion.training.checkpoint import NETWORK, read_training_state, write_checkpoint
from fashion.training.loop import Trainer
from fashion.training.optimise import OptimizerSettings
from fashion.training.settings import BatchSettings, TrainSettings
from fashion.training.validate import Validation
from tests.catalogues import make_table, photos, run_record
from tests.training import running
from tests.training.running import numbers

SETTINGS = TrainSettings(
    epochs=4,
    precision="float32",
    batch=BatchSettings(items=8),
    network=NetworkSettings(name="embnet", size=32, width=0.25, dimension=16),
    loss=LossSettings(name="triplet", mining="random", memory=24),
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_table(Store(tmp_path_factory.mktemp("resume")), photos(40, splits=("train", "train", "train", "val")))


@pytest.fixture
def paired(tmp_path_factory, ray_running):
    root = tmp_path_factory.mktemp("paired")
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


def make(table, plan, settings=SETTINGS, network=None):
    start = partial(build_network, settings.network, seed=0)
    loss = build_loss(replace(settings.loss, domains="cross"), dimension=16, classes=plan.items)
    return Trainer(settings, network or start(), loss, steps=plan.steps, device=CPU, start=start)


def run(trainer, table, stream, until=None):
    running.run(trainer, stream, Validation(table, items=100, size=32, crop="whole", threads=1), until)


def tuned(tmp_path):
    """Settings with everything that is about tuning published weights: averages, rates by depth, and a backbone that is
    frozen for the first two and a half epochs; the run ends between start and end."""
    save_file(EmbNet(SETTINGS.network.width).state_dict(), tmp_path / "backbone.safetensors")
    network = replace(SETTINGS.network, pretrained=str(tmp_path / "backbone.safetensors"))
    optimizer = OptimizerSettings(average=0.8, depth_decay=0.6, backbone_factor=0.5, freeze_epochs=2.5, warmup=0.3)
    return replace(SETTINGS, network=network, optimizer=optimizer, interpolate=True, precision="bf16")


@pytest.mark.parametrize("how", ["plain", "tuned"])
@pytest.mark.parametrize("broken_after", [1, 2])
def test_a_resumed_run_ends_bit_for_bit_as_an_unbroken_one(table, tmp_path, how, broken_after):
    settings = tuned(tmp_path) if how == "tuned" else SETTINGS
    plan = Plan.of(table.shards("train"), items_per_step=8, seed=0)
    whole = make(table, plan, settings)
    run(whole, table, batches(table, plan, range(4)))
    first = make(table, plan, settings)
    run(first, table, batches(table, plan, range(4)), until=broken_after)
    about = run_record(settings.identity())
    write_checkpoint(str(tmp_path), first.kept, first.state(), history=first.history, run=about)

    network, _ = load_network(Store(tmp_path), NETWORK)
    second = make(table, plan, settings, network)
    second.restore(*read_training_state(str(tmp_path)))
    run(second, table, batches(table, plan, range(broken_after + 1, 4)))

    assert numbers(second.history) == numbers(whole.history) and len(whole.history) == 4
    assert equal(whole.network, second.network) and equal(whole.kept, second.kept) and equal(whole.loss, second.loss)
    assert equal(whole.kept, whole.network) == (how == "plain")


def equal(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(x, b[name]) for name, x in a.items())


def test_a_resumed_run_computes_in_the_precision_that_its_first_steps_chose(table, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "settled", lambda wanted, device: None)
    monkeypatch.setattr(loop, "quicker", lambda context, batch: "bf16")
    settings = replace(SETTINGS, precision="auto", epochs=2)
    plan = Plan.of(table.shards("train"), items_per_step=8, seed=0)
    first = make(table, plan, settings)
    run(first, table, batches(table, plan, range(2)), until=0)
    assert first.history[0].precision == "bf16"
    monkeypatch.setattr(loop, "quicker", lambda context, batch: "float32")
    second = make(table, plan, settings, first.kept)
    second.restore(first.state(), first.history)
    run(second, table, batches(table, plan, range(1, 2)))
    assert second.history[1].precision == "bf16" and second.context.autocast


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
        monkeypatch.setattr(feed, "ROW_BYTES", row_bytes)
        found = list(rows(table, plan, [1], slots=slots))
        lengths = {row["step"].shape[1] for row in found}
        assert (lengths == {1}) if row_bytes == 1 else (max(lengths) > 1)
        workers = [list(steps(iter(found[slot::slots]))) for slot in range(slots)]  # as Ray deals them
        for step, parts in enumerate(zip(*workers, strict=True)):
            assert [(int(p["step"]), int(p["slot"])) for p in parts] == [(step, i) for i in range(slots)]
            for name in ("label", "domain", "image", "images"):
                assert torch.equal(torch.cat([p[name] for p in parts]), whole[step][name]), name


def test_pairs_in_the_stream_are_annotated_pairs(paired):
    table = paired
    plan = Plan.of(table.shards("train"), items_per_step=8, seed=0)
    for batch in steps(rows(table, plan, [0], pairs=True)):
        assert batch["domain"].tolist() == [[0, 1]] * 8  # consumer, then its shop photo
        assert torch.equal(batch["pair"][:, 0], batch["pair"][:, 1]) and (batch["pair"] >= 0).all()

"""A run that goes on from any step ends bit for bit as an unbroken one: every loss, the memory, averaged weights, chunks,
dropout, several workers."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import save_file

from fashion.data import feed
from fashion.data.feed import Feed, FeedSettings
from fashion.data.plan import Plan
from fashion.data.stream import Tickets, steps
from fashion.losses import LossSettings, build_loss
from fashion.losses.settings import USUAL
from fashion.networks.embnet import EmbNet
from fashion.networks.files import load_network
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.storage import Store
from fashion.training.checkpoint import CHECKPOINT, NETWORK, TRAINING, read_training_state, write_checkpoint
from fashion.training.loop import Hooks, Trainer
from fashion.training.recipe import OptimizerSettings
from fashion.training.settings import BatchSettings, TrainSettings
from fashion.training.snapshot import Snapshot
from fashion.training.validate import Validation
from tests.catalogues import make_table, photos, run_record
from tests.training.group import in_group
from tests.training.running import numbers

EPOCHS, ITEMS = 2, 8
SETTINGS = TrainSettings(
    epochs=EPOCHS,
    precision="float32",
    batch=BatchSettings(items=ITEMS),
    network=NetworkSettings(name="embnet", size=32, width=0.25, dimension=16, pretrained=None),
    loss=LossSettings(name="triplet", mining="random", domains="cross", memory=24),
)
RUN = run_record(SETTINGS.identity())
CASES = {
    "memory": SETTINGS,
    "averaged": replace(SETTINGS, optimizer=OptimizerSettings(average=0.8, clip=1.0), precision="bf16"),
    "chunks": replace(SETTINGS, batch=BatchSettings(items=ITEMS, chunk=5)),
    "not every epoch validated": replace(SETTINGS, validation=replace(SETTINGS.validation, every=2)),
}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_table(Store(tmp_path_factory.mktemp("steps")), photos(40, splits=("train", "train", "train", "val")))


def plan_of(table):
    return replace(Plan.of(table.shards("train"), items_per_step=ITEMS, seed=0), ticket_items=2 * ITEMS)


def rows(table, plan, first, slots=1):
    """Rows of the stream from this step of the run on."""
    feed = Feed(table, plan, FeedSettings(views=2, size=32, slots=slots, crop="whole", pairs=False))
    tickets = Tickets(plan, range(first, EPOCHS * plan.steps))
    for ticket in map(tickets, range(len(tickets))):
        named = plan.ticket(ticket["epoch"], ticket["ticket"])
        for row in feed.rows(named, skipped=ticket["skipped"]):
            yield {name: torch.from_numpy(value) for name, value in row.items()}


def dropped(module, inputs):
    """Draws from the random state, as networks with dropout do."""
    return tuple(torch.nn.functional.dropout(x, 0.2, module.training) for x in inputs)


def make(table, plan, settings, network=None, dropout=False):
    network = network or build_network(settings.network, seed=0)
    if dropout:
        network.shared.register_forward_pre_hook(dropped)
    loss = build_loss(settings.loss, dimension=16, classes=plan.items)
    return Trainer(settings, network, loss, steps=plan.steps, device=torch.device("cpu"))


def train(trainer, table, first=0, keep=None, slots=1, slot=0):
    """Train from a step of the run on; a snapshot of each step, and the state at each epoch, lies in `keep`, if given."""

    def step(event):
        if keep:
            folder = keep / str(event.epoch * trainer.steps + event.step + 1)
            folder.mkdir(parents=True)
            Snapshot.of(trainer).write(str(folder), RUN)

    own = (row for i, row in enumerate(rows(table, plan_of(table), first, slots)) if i % slots == slot)
    validation = Validation(table, items=100, size=32, crop="whole", threads=1)
    trainer.run(steps(own), validation, Hooks(step=step, epoch=lambda row, save: None))
    return trainer


def resumed(folder, table, settings, **options):
    network, _ = load_network(Store(folder), NETWORK)
    trainer = make(table, plan_of(table), settings, network, **options)
    trainer.restore(*read_training_state(str(folder)))
    return trainer


def end(trainer):
    """All that is left of a run."""
    networks = {"network": trainer.network, "kept": trainer.kept, "loss": trainer.loss}
    tensors = {f"{part}.{name}": x for part, module in networks.items() for name, x in module.state_dict().items()}
    return numbers(trainer.history), tensors


def assert_same(one, other):
    assert one[0] == other[0] and len(one[0]) == EPOCHS
    assert one[1].keys() == other[1].keys()
    for name, tensor in one[1].items():
        assert torch.equal(tensor, other[1][name]), name


@pytest.mark.parametrize("case", CASES)
def test_a_run_resumed_at_any_step_ends_bit_for_bit_as_an_unbroken_one(table, tmp_path, case):
    settings, plan = CASES[case], plan_of(table)
    assert plan.tickets() > 1 and plan.ticket_steps > 1  # steps are entered within a ticket and at its beginning
    whole = end(train(make(table, plan, settings), table))
    assert_same(end(train(make(table, plan, settings), table, keep=tmp_path)), whole)  # snapshots change nothing
    for step in range(1, EPOCHS * plan.steps):
        again = resumed(tmp_path / str(step), table, settings)
        assert again.tally.steps == step - again.next_epoch * plan.steps
        assert_same(end(train(again, table, first=step)), whole)


@pytest.mark.parametrize("average", [0.0, 0.8])
def test_low_rank_additions_go_on_bit_for_bit(table, tmp_path, average):
    save_file(EmbNet(0.25).state_dict(), tmp_path / "backbone.safetensors")
    network = replace(SETTINGS.network, pretrained=str(tmp_path / "backbone.safetensors"))
    settings, plan = (
        replace(SETTINGS, network=network, optimizer=OptimizerSettings(lora=2, average=average)),
        plan_of(table),
    )
    whole = end(train(make(table, plan, settings), table, keep=tmp_path))
    for step in range(1, EPOCHS * plan.steps, 2):
        assert_same(end(train(resumed(tmp_path / str(step), table, settings), table, first=step)), whole)


@pytest.mark.parametrize("name", USUAL)
def test_every_loss_goes_on_from_within_an_epoch(table, tmp_path, name):
    plan = plan_of(table)
    settings = replace(SETTINGS, loss=LossSettings(name=name, domains="any"))
    whole = end(train(make(table, plan, settings), table, keep=tmp_path))
    step = plan.steps + 1
    assert_same(end(train(resumed(tmp_path / str(step), table, settings), table, first=step)), whole)


def test_dropout_draws_after_a_resume_what_it_would_have_drawn(table, tmp_path):
    plan = plan_of(table)
    torch.manual_seed(3)
    whole = end(train(make(table, plan, SETTINGS, dropout=True), table, keep=tmp_path))
    torch.manual_seed(4)
    again = resumed(tmp_path / "3", table, SETTINGS, dropout=True)
    assert_same(end(train(again, table, first=3)), whole)
    torch.manual_seed(4)
    other = end(train(make(table, plan, SETTINGS, dropout=True), table))
    assert other[0] != whole[0]  # else nothing was dropped


def test_a_snapshot_is_written_as_an_epochs_checkpoint_is(table, tmp_path):
    plan, (live, copied) = plan_of(table), (tmp_path / "live", tmp_path / "copied")
    trainer = make(table, plan, CASES["averaged"])
    taken = []

    def step(event):
        if event.step == 1 and not taken:
            taken.append(Snapshot.of(trainer))
            live.mkdir()
            write_checkpoint(str(live), trainer.kept, trainer.state(), history=trainer.history, run=RUN)

    validation = Validation(table, items=100, size=32, crop="whole", threads=1)
    trainer.run(steps(rows(table, plan, 0)), validation, Hooks(step=step, epoch=lambda row, save: None))
    copied.mkdir()
    taken[0].write(str(copied), RUN)  # after all other steps: it is a copy
    assert (live / NETWORK).read_bytes() == (copied / NETWORK).read_bytes()
    about = [json.loads((folder / CHECKPOINT).read_text()) for folder in (live, copied)]
    assert about[0]["fingerprint"] == about[1]["fingerprint"] and about[1]["epoch"] == 0 and about[1]["steps"] == 2
    states = [torch.load(folder / TRAINING, weights_only=True) for folder in (live, copied)]
    for state in states:
        state["tally"].pop("seconds")  # by the clock
    assert_equal(*states)


def assert_equal(one, other):
    """Nested dictionaries, lists and tuples are equal, with the same keys in the same order."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other) and one.stride() == other.stride()
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for name in one:
            assert_equal(one[name], other[name])
    elif isinstance(one, list | tuple):
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert one == other


def _worker(worker, workers, results, root, table):
    settings, plan = CASES["averaged"], plan_of(table)
    run = partial(train, table=table, slots=workers, slot=worker)
    found = [end(run(make(table, plan, settings), keep=root if worker == 0 else None))]
    for step in range(1, EPOCHS * plan.steps, 3):
        dist.barrier()
        found.append(end(run(resumed(root / str(step), table, settings), first=step)))
    results[worker] = [(history, {name: x.numpy() for name, x in tensors.items()}) for history, tensors in found]


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_workers_go_on_from_what_the_first_one_wrote(table, tmp_path, workers):
    for whole, *others in in_group(workers, tmp_path, _worker, tmp_path / "kept", table).values():
        assert len(others) == 3
        for other in others:
            assert other[0] == whole[0]
            assert all((x == other[1][name]).all() for name, x in whole[1].items())


def test_the_stream_entered_at_any_step_gives_the_same_batches(table, monkeypatch):
    plan = plan_of(table)
    whole = list(steps(rows(table, plan, 0)))
    assert len(whole) == EPOCHS * plan.steps
    for row_bytes in (1, 1 << 30):  # a row holds one step, or as many as a ticket has
        monkeypatch.setattr(feed, "ROW_BYTES", row_bytes)
        for first in range(len(whole)):
            found = list(steps(rows(table, plan, first)))
            assert len(found) == len(whole) - first
            for one, other in zip(found, whole[first:], strict=True):
                assert all(torch.equal(x, other[name]) for name, x in one.items())

"""A run of a fashionnet over two tables, in this process: it resumes exactly, and its figures are those of its network."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fashion.data.decode import decode
from fashion.data.feed import Feed, FeedSettings
from fashion.data.label_pictures import LabelTables
from fashion.data.labels import count_attributes, vocabulary_of
from fashion.data.plan import Plan
from fashion.data.stream import steps
from fashion.domain import DOMAINS
from fashion.losses import LossSettings, build_loss
from fashion.losses.labels import balance_of
from fashion.losses.settings import TASKS
from fashion.networks.files import load_network
from fashion.networks.heads import Head, new_parameters
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.storage import Store
from fashion.training.checkpoint import NETWORK, read_training_state, write_checkpoint
from fashion.training.loop import Trainer
from fashion.training.optimise import build_optimizer
from fashion.training.recipe import OptimizerSettings, TaskSettings
from fashion.training.settings import BatchSettings, TrainSettings
from fashion.training.validate import Validation
from tests.catalogues import make_table, photos, run_record, with_labels
from tests.training.running import numbers, run

SETTINGS = TrainSettings(
    epochs=4,
    precision="float32",
    batch=BatchSettings(items=4, labels=3, chunk=5),
    network=NetworkSettings(name="embnet", design="fashionnet", size=32, width=0.25, dimension=16, hidden=24),
    loss=LossSettings(name="triplet", mining="random", domains="cross"),
    tasks=TaskSettings(schedule="alternating", landmarks=5.0),
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    root = tmp_path_factory.mktemp("fashionnet")
    first = with_labels(photos(24, splits=("train", "val")), categories=("Tee", "Dress"), attributes=("v", "striped"))
    second = with_labels(
        photos(14, splits=("train", "val"), seed=999), categories=("Coat",), attributes=("striped", "a b")
    )
    return [(make_table(Store(root / str(i)), rows), rows) for i, rows in enumerate((first, second))]


def make(tables, settings=SETTINGS):
    held = [table for table, _ in tables]
    plan = Plan.of(held[0].shards("train"), items_per_step=4, seed=0)
    labels = LabelTables.of(held[1:], pictures=3, steps=plan.ticket_steps, seed=0)
    vocabulary = vocabulary_of(*held)
    shape = FeedSettings(views=2, size=32, slots=1, crop="whole", pairs=False, vocabulary=vocabulary)
    feed = Feed(held[0], plan, shape, labels)

    def stream(epochs):
        rows = (r for e in epochs for n in range(plan.tickets()) for r in feed.rows(plan.ticket(e, n)))
        return steps({k: torch.from_numpy(v) for k, v in row.items()} for row in rows)

    def trainer(network=None):
        network = network or build_network(settings.network, seed=0, vocabulary=vocabulary)
        loss = build_loss(settings.loss, dimension=16, classes=plan.items)
        balance = balance_of(*map(torch.from_numpy, count_attributes(vocabulary, *held)), "set")
        return Trainer(settings, network, loss, steps=plan.steps, device=CPU, balance=balance)

    return trainer, stream, Validation(held[0], items=100, size=32, crop="whole", threads=1, labelled=tuple(held[1:]))


def test_a_resumed_run_ends_bit_for_bit_as_an_unbroken_one(tables, tmp_path):
    trainer, stream, validation = make(tables)
    whole = trainer()
    run(whole, stream(range(4)), validation)
    first = trainer()
    run(first, stream(range(2)), validation, until=1)
    about = run_record(SETTINGS.identity())
    write_checkpoint(str(tmp_path), first.network, first.state(), history=first.history, run=about)

    network, _ = load_network(Store(tmp_path), NETWORK)
    second = trainer(network)
    second.restore(*read_training_state(str(tmp_path)))
    run(second, stream(range(2, 4)), validation)
    assert numbers(second.history) == numbers(whole.history) and len(whole.history) == 4
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name]), name
    row = whole.history[-1]
    assert all(row.statistics[f"loss_{name}"] > 0 for name in ("embedding", *TASKS))
    assert row.images == 3 * (8 + 3)  # steps x (views and labelled pictures)


def test_validation_counts_every_labelled_picture_of_all_tables(tables):
    trainer, _, validation = make(tables)
    network = trainer().network
    with torch.no_grad():  # estimates that differ from picture to picture
        network.positions.dense.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    found = validation.measure(network, autocast=False)
    network.eval()
    right, errors = [], []
    for _, rows in tables:
        for photo in rows:
            if photo.split != "val":
                continue
            pixels = torch.from_numpy(decode(photo.jpeg, size=(32, 32)))[None]
            with torch.no_grad():
                estimate = network.outputs(pixels, torch.tensor([DOMAINS.index(photo.domain)]))
            if photo.category is not None:
                right.append(network.vocabulary.categories[int(estimate.category_NC.argmax())] == photo.category)
            if photo.landmarks is not None:
                for (visibility, x, y), at in zip(
                    np.reshape(photo.landmarks, (8, 3)), estimate.landmarks_N82[0].numpy(), strict=True
                ):
                    if visibility == 0:
                        errors.append(np.hypot(at[0] - x / 60, at[1] - y / 80))
    assert found["category_top1"] == pytest.approx(np.mean(right))
    assert found["landmark_error"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert 0 < len(right) < len(errors)


def test_the_rate_of_the_backbone_is_not_that_of_new_layers():
    for settings in (NetworkSettings(name="embnet", width=0.125), replace(SETTINGS.network, width=0.125)):
        network = build_network(settings, seed=0)
        loss = build_loss(LossSettings(), dimension=settings.dimension, classes=3)
        groups = build_optimizer(network, loss, OptimizerSettings(backbone_factor=0.1)).param_groups
        fast = {p for group in groups if group["factor"] == 1.0 for p in group["params"]}
        assert fast == new_parameters(network) and len(fast) < len(list(network.parameters()))
        assert all(p in fast for m in network.modules() if isinstance(m, Head) for p in m.parameters())

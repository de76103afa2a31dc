"""What a run does where its settings are left open: decided by the data and the network, and written down."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from fashion.errors import InputError
from fashion.losses.settings import LossSettings
from fashion.networks.check import takes_size
from fashion.networks.settings import SHIPPED, NetworkSettings
from fashion.storage import Store
from fashion.training.checkpoint import best_checkpoint, checkpoint_name
from fashion.training.defaults import settle, training_size, usual_epochs
from fashion.training.settings import BatchSettings, TrainSettings, ValidationSettings
from tests.catalogues import table_manifest


def table(*, images=100, boxes=100, cut=False, domains=("consumer", "shop")):
    return SimpleNamespace(
        manifest=table_manifest(
            domains=list(domains),
            labels={"train": {"images": images, "attributes": 0, "boxes": boxes}},
            settings={"benchmark": "manifest", "crop": cut},
        )
    )


@pytest.mark.parametrize(("steps", "epochs"), [(1, 160), (5, 32), (12, 14), (14, 12), (500, 12)])
def test_epochs_make_160_steps_and_twelve_at_least(steps, epochs):
    assert usual_epochs(steps, NetworkSettings()) == epochs
    assert settle(TrainSettings(), table(), steps).epochs == epochs
    assert settle(TrainSettings(epochs=3), table(), steps).epochs == 3


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1000), (5, 200), (34, 30), (500, 30)])
def test_random_weights_take_longer(steps, epochs):
    settings = TrainSettings(network=NetworkSettings(name="resnet10"))
    assert usual_epochs(steps, settings.network) == settle(settings, table(), steps).epochs == epochs


@pytest.mark.parametrize(("network", "rate"), [("embnet", 2e-3), ("resnet18", 2e-3), ("resnet10", 4e-3)])
def test_a_narrow_network_learns_at_a_higher_rate(network, rate):
    settings = TrainSettings(network=NetworkSettings(name=network))
    assert settings.learning_rate == settings.identity()["optimizer"]["learning_rate"] == rate
    asked = replace(settings, optimizer=replace(settings.optimizer, learning_rate=1e-3))
    assert asked.learning_rate == 1e-3


@pytest.mark.parametrize(("epochs", "every"), [(1, 1), (50, 1), (51, 2), (200, 4), (1001, 21)])
def test_a_run_is_validated_fifty_times_at_most(epochs, every):
    settings = settle(TrainSettings(epochs=epochs), table(), 10)
    assert settings.validation.every == every and epochs / every <= 50
    assert settle(replace(settings, validation=ValidationSettings(every=3)), table(), 10).validation.every == 3


@pytest.mark.parametrize(
    ("held", "crop"),
    [({}, "box"), ({"boxes": 50}, "box"), ({"boxes": 49}, "whole"), ({"boxes": 0}, "whole"), ({"cut": True}, "whole")],
)
def test_boxes_are_looked_at_where_most_pictures_have_one_left(held, crop):
    assert settle(TrainSettings(), table(**held), 10).batch.crop == crop
    for wanted in ("whole", "box"):
        assert settle(TrainSettings(batch=BatchSettings(crop=wanted)), table(**held), 10).batch.crop == wanted


@pytest.mark.parametrize(
    ("network", "size"),
    [
        ({}, 120),
        ({"size": 224}, 168),
        ({"pretrained": None}, 160),
        ({"name": "embnet"}, 64),
        ({"name": "resnet10"}, 64),
        ({"name": "resnet10", "size": 64}, 48),
        ({"name": "resnet10", "size": 10}, 10),
        ({"name": "resnet18"}, 64),
        ({"name": "resnet18", "pretrained": "DEFAULT", "size": 128}, 96),
        ({"name": "vit_b_16", "pretrained": "DEFAULT", "size": 224}, 224),  # its positions are of one size
        ({"pretrained": "s3://fashion/runs/first"}, 160),
    ],
)
def test_published_weights_and_resnet10_are_trained_on_smaller_pictures_than_they_look_at(network, size):
    assert training_size(TrainSettings(network=NetworkSettings(**network))) == size


def test_the_usual_network_takes_what_is_said_of_it_without_a_look():
    assert takes_size(NetworkSettings(), 120)


def test_a_size_that_the_network_cannot_take_is_refused():
    settings = TrainSettings(network=NetworkSettings(name="vit_b_16", size=224), batch=BatchSettings(size=192))
    with pytest.raises(
        InputError, match=r"^batch\.size: found 192, but vit_b_16 takes pictures of network\.size \(224\)"
    ):
        training_size(settings)
    with pytest.raises(InputError, match=r"^batch\.size: found 4, expected at least 8"):
        BatchSettings(size=4)


def test_the_weights_that_are_installed_are_the_start_of_their_network_alone():
    assert NetworkSettings().pretrained == "DEFAULT" and NetworkSettings().name == SHIPPED
    assert NetworkSettings(pretrained=None).pretrained is None
    assert NetworkSettings(name="resnet50").pretrained is None


def test_comparison_across_domains_follows_the_data():
    one = table(domains=["shop"])
    assert settle(TrainSettings(), table(), 10).loss.domains == "cross"
    assert settle(TrainSettings(), one, 10).loss.domains == "any"
    with pytest.raises(InputError, match="cross, and the data has shop photos only"):
        settle(TrainSettings(loss=LossSettings(domains="cross")), one, 10)


def a_run(tmp_path, *recalls, queries=72):
    run = Store(tmp_path)
    for epoch, recall in enumerate(recalls):
        row = {"epoch": epoch, "recall": {"1": recall}, "queries": queries}
        (run / checkpoint_name(epoch)).write_json(
            "checkpoint.json", {"epoch": epoch, "fingerprint": "", "crop": "whole", "history": [row]}
        )
        (run / checkpoint_name(epoch)).write("network.safetensors", b"")
    return run


@pytest.mark.parametrize(
    ("recalls", "queries", "chosen"),
    [
        ((0.97, 0.93), 72, 1),  # 0.93 of 72 queries may well be 0.97
        ((0.97, 0.93), 7200, 0),
        ((1.0, 0.97), 72, 1),
        ((0.97, 0.5), 72, 0),
        ((0.9, 0.9), 7200, 1),
        ((0.5, 0.9), 72, 1),
        ((0.9, -1.0), 72, 0),  # never validated
    ],
)
def test_the_newest_checkpoint_is_used_unless_another_was_better_by_more_than_chance(
    tmp_path, recalls, queries, chosen
):
    assert best_checkpoint(a_run(tmp_path, *recalls, queries=queries), "recall@1").epoch == chosen

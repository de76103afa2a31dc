"""What a run starts from: names, files, and runs of ours; without Ray."""

import pytest
import safetensors.torch
import torch

from fashion.errors import InputError
from fashion.networks.files import fingerprint, save_network
from fashion.networks.model import build_network
from fashion.networks.settings import SHIPPED, NetworkSettings
from fashion.networks.shipped import shipped_file
from fashion.networks.transform import Transform
from fashion.storage import Store
from fashion.training.checkpoint import NETWORK, checkpoint_name, write_checkpoint
from fashion.training.history import EpochRow
from fashion.training.run_record import RUN
from fashion.training.settings import TrainSettings
from fashion.training.start import START, find_start
from fashion.vocabulary import Vocabulary
from tests.catalogues import run_record

SMALL = {"name": "embnet", "width": 0.25, "dimension": 8, "size": 32}


def a_network(**values):
    return build_network(NetworkSettings(**(SMALL | values)), seed=3)


def a_run(folder, *networks, **values):
    """A run's folder: a checkpoint an epoch, of which the second has the best recall."""
    settings = TrainSettings(epochs=2, network=NetworkSettings(**(SMALL | values)))
    run = run_record(settings.identity())
    Store(folder).write_value(RUN, run)
    for epoch, network in enumerate(networks):
        history = [EpochRow(epoch=epoch, recall={"1": 0.9 if epoch == 1 else 0.5})]
        (folder / checkpoint_name(epoch)).mkdir()
        write_checkpoint(str(folder / checkpoint_name(epoch)), network, {}, history=history, run=run)
    return folder


def begin(**values):
    return find_start(NetworkSettings(**(SMALL | values))).network(seed=0)


def equal(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("form", ["run", "checkpoint", "file"])
def test_a_run_of_ours_is_a_start(tmp_path, form):
    first, second = a_network(mean=(0.4, 0.5, 0.6), fit="pad"), a_network(mean=(0.4, 0.5, 0.6), fit="pad")
    with torch.no_grad():
        second.shared[0][0].weight.add_(1)
    run = a_run(tmp_path, first, second)
    folder = run / checkpoint_name(1)
    where = {"run": run, "checkpoint": folder, "file": folder / NETWORK}[form]
    found = begin(pretrained=str(where))
    assert equal(found, second)
    assert found.settings.transform == Transform(mean=(0.4, 0.5, 0.6), fit="pad")
    # With another size and its own normalisation.
    other = begin(pretrained=str(where), size=48, mean=(0.5, 0.5, 0.5))
    assert equal(other, second) and other.settings.transform == Transform(mean=(0.5, 0.5, 0.5), fit="pad")


def test_another_dimension_is_a_new_head_on_the_same_backbone(tmp_path):
    network = a_network()
    save_network(Store(tmp_path), NETWORK, network)
    start = find_start(NetworkSettings(**(SMALL | {"dimension": 16, "pretrained": f"{tmp_path}/{NETWORK}"})))
    found = start.network(seed=5)
    assert equal(found.shared, network.shared) and found.branches[0][-1].dense.weight.shape == (16, 512)
    assert "a new head" in start.said and "was 8 and is 16" in start.said


def test_both_branches_go_on_from_one_network_and_two_do_not_become_one(tmp_path):
    network = a_network()
    save_network(Store(tmp_path), NETWORK, network)
    where = f"{tmp_path}/{NETWORK}"
    dual = begin(pretrained=where, branches="dual", shared_stages=1)
    images = 255 * torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        z = dual.eval()(images, torch.tensor([0, 1, 1, 0]))
        torch.testing.assert_close(z, network.eval()(images))
    save_network(Store(tmp_path), NETWORK, dual)
    assert equal(begin(pretrained=where, branches="dual", shared_stages=1), dual)
    with pytest.raises(InputError, match=r"two branches from stage 1 on.*set network.branches dual"):
        begin(pretrained=where)


def test_a_fashionnet_goes_on_with_other_words(tmp_path):
    values = {"design": "fashionnet", "hidden": 8}
    words = Vocabulary(categories=("Dress", "Tee"), attributes=("striped",))
    settings = NetworkSettings(**(SMALL | values))
    network = build_network(settings, seed=3, vocabulary=words)
    save_network(Store(tmp_path), NETWORK, network)
    start = find_start(NetworkSettings(**(SMALL | values | {"pretrained": f"{tmp_path}/{NETWORK}"})))
    assert equal(start.network(seed=0, vocabulary=words), network)
    other = start.network(seed=0, vocabulary=Vocabulary(categories=("Coat", "Tee"), attributes=("striped",)))
    assert equal(other.local, network.local) and equal(other.embedding, network.embedding)
    assert not equal(other.category, network.category)


@pytest.mark.parametrize(
    "values, expected",
    [
        ({"name": "resnet18", "width": 1.0}, "holds a network with name embnet, found network.name resnet18"),
        ({"width": 0.5}, "found network.width 0.5; set network.width 0.25"),
        ({"design": "fashionnet"}, "set network.design plain"),
    ],
)
def test_a_network_of_another_kind_is_refused_in_one_line(tmp_path, values, expected):
    save_network(Store(tmp_path), NETWORK, a_network())
    with pytest.raises(InputError) as error:
        begin(pretrained=f"{tmp_path}/{NETWORK}", **values)
    message = str(error.value)
    assert message.startswith("network.pretrained: ") and expected in message and "\n" not in message


def test_what_is_not_there_or_nothing_we_know_is_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun").mkdir()
    a_run(tmp_path / "begun")
    (tmp_path / "text.safetensors").write_text("no weights")
    for name, expected in (
        ("empty", "no run, checkpoint or .safetensors file there"),
        ("begun", "no checkpoint there"),
        ("none.safetensors", "no such file"),
        ("text.safetensors", "not a safetensors file"),
    ):
        with pytest.raises(InputError, match=expected) as error:
            begin(pretrained=f"{tmp_path}/{name}")
        assert "\n" not in str(error.value)


def test_a_backbones_file_is_shown_pictures_as_the_record_of_its_name_says(tmp_path):
    weights = build_network(NetworkSettings(name=SHIPPED), seed=1).shared[0].state_dict()
    safetensors.torch.save_file(weights, tmp_path / "lite.safetensors")
    values = {"name": SHIPPED, "width": 1.0}
    start = find_start(NetworkSettings(**(SMALL | values | {"pretrained": f"{tmp_path}/lite.safetensors"})))
    assert equal(start.network(seed=0).shared[0], build_network(NetworkSettings(name=SHIPPED), seed=1).shared[0])
    assert start.settings.transform.mean == (0.5, 0.5, 0.5) and start.settings.transform.interpolation == "bicubic"


def test_the_first_weights_and_no_more_are_a_function_of_the_seed(tmp_path):
    save_network(Store(tmp_path), NETWORK, a_network())
    start = find_start(NetworkSettings(**(SMALL | {"dimension": 4, "pretrained": f"{tmp_path}/{NETWORK}"})))
    one, same, other = (start.network(seed=seed) for seed in (0, 0, 1))
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)


def test_a_run_that_has_begun_needs_what_it_started_from_no_more(tmp_path):
    source, run = tmp_path / "source", a_run(tmp_path, mean=(0.5, 0.5, 0.5))
    save_network(Store(source), NETWORK, a_network())
    settings = NetworkSettings(**(SMALL | {"pretrained": f"{source}/{NETWORK}"}))
    save_network(Store(run), START, find_start(settings).network(seed=0))
    (source / NETWORK).unlink()
    again = find_start(settings, Store(run))
    assert again.weights is None and again.other is None
    assert again.settings.transform == Transform(mean=(0.5, 0.5, 0.5))  # as its run.json says


def test_a_run_of_before_networks_carried_a_transform_goes_on_as_it_was(tmp_path):
    old = {"name": SHIPPED, "width": 1.0, "pretrained": "DEFAULT"}
    run = a_run(tmp_path, **old)
    assert not {"mean", "std", "fit", "interpolation"} & Store(run).read_json(RUN)["settings"]["network"].keys()
    start = find_start(NetworkSettings(**(SMALL | old)), Store(run))
    assert start.settings.transform == Transform()
    stem = torch.load(shipped_file(SHIPPED), weights_only=True)["_conv_stem.weight"]
    assert torch.equal(start.network(seed=0).shared[0].state_dict()["conv_stem.weight"], stem)
    assert start.settings.identity() == NetworkSettings(**(SMALL | old)).identity()

"""Tuning published weights: averages against the formula, what is frozen stays as it was, also for several workers, and
rates by depth."""

import copy

import pytest
import torch
from safetensors.torch import save_file

from fashion.errors import InputError, TrainingDiverged
from fashion.losses import LossSettings, build_loss
from fashion.networks.embnet import EmbNet
from fashion.networks.heads import new_parameters
from fashion.networks.model import build_network, parameter_depths
from fashion.networks.settings import NetworkSettings
from fashion.training.averages import Average, between
from fashion.training.distributed import bare, rank
from fashion.training.loop import Hooks, Trainer
from fashion.training.optimise import OptimizerSettings, rate_at, rate_factors
from fashion.training.settings import BatchSettings, TrainSettings
from tests.training.group import in_group

NETWORK = NetworkSettings(name="embnet", size=16, width=0.125, dimension=8)
CPU = torch.device("cpu")
STEPS = 4


def moved(network, seed):
    """The network with other weights and statistics."""
    generator = torch.Generator().manual_seed(seed)
    found = copy.deepcopy(network)
    with torch.no_grad():
        for x in (*found.parameters(), *found.buffers()):
            if x.is_floating_point():
                x.add_(torch.rand(x.shape, generator=generator))
            else:
                x.add_(seed)
    return found


def test_an_average_is_the_weighted_mean_of_the_weights_and_statistics_after_each_step():
    networks = [moved(build_network(NETWORK, seed=0), seed) for seed in range(1, 5)]
    average = Average(networks[0], 0.2)
    expected = {name: x.double() for name, x in networks[0].state_dict().items()}
    for t, network in enumerate(networks[1:]):
        average.update(network)
        decay = min(0.2, (1 + t) / (10 + t))
        assert t or decay == 0.1  # the warm-up counts here
        for name, x in network.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * x if x.is_floating_point() else x
    for name, x in average.network.state_dict().items():
        torch.testing.assert_close(x.double(), expected[name].double(), msg=name)
    assert not any(p.requires_grad for p in average.network.parameters())


def test_between_two_networks_only_the_backbone_is_between():
    start, tuned = (moved(build_network(NETWORK, seed=0), seed) for seed in (1, 2))
    found, tuned_before = between(start, tuned, 0.25), copy.deepcopy(tuned.state_dict())
    head = {name for name, p in tuned.named_parameters() if p in new_parameters(tuned)}
    assert head
    for name, x in found.state_dict().items():
        a, b = start.state_dict()[name], tuned.state_dict()[name]
        smooth = name not in head and x.is_floating_point()
        torch.testing.assert_close(x, a + 0.25 * (b - a) if smooth else b, msg=name)
        assert torch.equal(b, tuned_before[name])


def test_rates_fall_by_a_factor_a_stage_from_the_head_down():
    network = build_network(NETWORK, seed=0)
    found = rate_factors(network, OptimizerSettings(depth_decay=0.5, backbone_factor=0.1))
    for depth, group in enumerate(parameter_depths(network)):
        expected = 1.0 if depth == 3 else 0.1 * 0.5 ** (3 - depth)
        assert {found[p] for p in group} == {expected}
    frozen = next(network.parameters()).requires_grad_(False)
    assert frozen not in rate_factors(network, OptimizerSettings())


def test_the_rate_rises_for_its_share_of_the_run_and_falls_to_nothing():
    rates = [rate_at(step, total=100, warmup=30) for step in range(100)]
    assert max(range(100), key=rates.__getitem__) == 30 and rates[30] == 1
    assert rates[:30] == sorted(rates[:30]) and rates[30:] == sorted(rates[30:], reverse=True) and rates[-1] < 1e-3


class Unjudged:
    def measure(self, network, *, autocast):
        return {"recall": {"1": 0.5}}


def parts(epochs, workers=1):
    """A worker's rows of a stream of random pictures."""
    for epoch in range(epochs):
        for step in range(STEPS):
            g = torch.Generator().manual_seed(100 * epoch + step)
            whole = torch.randint(0, 256, (8, 2, 3, 16, 16), generator=g, dtype=torch.uint8)
            mine = torch.arange(8).view(workers, -1)[rank()]
            yield {
                "epoch": torch.tensor(epoch), "step": torch.tensor(step), "slot": torch.tensor(rank()),
                "images": whole[mine], "label": mine, "domain": torch.tensor([[0, 1]]).repeat(len(mine), 1),
            }  # fmt: skip


def trainer(pretrained, **optimizer):
    settings = TrainSettings(
        epochs=2,
        precision="float32",
        batch=BatchSettings(items=8),
        network=NetworkSettings(name="embnet", size=16, width=0.125, dimension=8, pretrained=pretrained),
        loss=LossSettings(domains="cross"),
        optimizer=OptimizerSettings(**optimizer),
    )
    loss = build_loss(settings.loss, dimension=8, classes=8)
    return Trainer(settings, build_network(settings.network, seed=0), loss, steps=STEPS, device=CPU)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    save_file(EmbNet(0.125).state_dict(), path)
    return str(path)


def watched(trainer, workers=1):
    """Train, and tell after each step whether the backbone and the head are as they were before it."""
    network = bare(trainer.network)
    head = [p for p in network.parameters() if p in new_parameters(network)]
    inner = {id(x) for x in head}
    backbone = [x for x in (*network.parameters(), *network.buffers()) if id(x) not in inner]
    held, still = [[x.detach().clone() for x in group] for group in (backbone, head)], []

    def step(row):
        now = [[x.detach().clone() for x in group] for group in (backbone, head)]
        still.append([all(map(torch.equal, a, b)) for a, b in zip(held, now, strict=True)])
        held[:] = now

    trainer.run(parts(2, workers), Unjudged(), Hooks(step=step, epoch=lambda row, save: None))
    return still


def test_a_frozen_backbone_keeps_weights_and_statistics_until_it_is_thawed(weights):
    still = watched(trainer(weights, freeze_epochs=1.5))
    assert still == [[True, False]] * 6 + [[False, False]] * 2


def test_frozen_stages_stay_through_the_whole_run_and_those_after_them_learn(weights):
    made = trainer(weights, freeze_stages=2)
    first, second, third = [list(stage[0].state_dict().values()) for stage in bare(made.network).depths()]
    before = [[x.clone() for x in stage] for stage in (first, second, third)]
    assert watched(made) == [[False, False]] * 8  # the third stage and the head
    same = [all(map(torch.equal, a, b)) for a, b in zip(before, (first, second, third), strict=True)]
    assert same == [True, True, False]


def test_published_weights_keep_their_first_stages_and_no_others_do(weights):
    frozen = lambda **network: TrainSettings(network=NetworkSettings(**network)).frozen_stages  # noqa: E731
    assert frozen(name="timm:tf_efficientnet_lite0", pretrained="DEFAULT") == 2
    assert frozen(pretrained=weights) == frozen(pretrained=None) == frozen(pretrained="s3://fashion/runs/first") == 0


def _worker(worker, workers, results, weights):
    made = trainer(weights, freeze_epochs=1.5, average=0.9)
    still = watched(made, workers)
    results[worker] = still, {name: x.numpy() for name, x in made.kept.state_dict().items()}


def test_several_workers_freeze_thaw_and_average_alike(weights, tmp_path):
    results = in_group(2, tmp_path, _worker, weights)
    (still, first), (_, second) = results[0], results[1]
    assert still == [[True, False]] * 6 + [[False, False]] * 2
    assert all((x == second[name]).all() for name, x in first.items())


@pytest.mark.parametrize("step", [0, 5])
def test_a_loss_that_is_no_number_stops_the_run_there(weights, step):
    made = trainer(weights)
    seen = []

    def poison(event):
        seen.append(event and event.loss)
        if len(seen) == step + 1:
            with torch.no_grad():
                next(made.network.parameters()).fill_(float("nan"))

    poison(None)
    where = rf"^epoch {step // STEPS}, step {step % STEPS}: the loss is nan; try a lower optimizer\.learning_rate"
    with pytest.raises(TrainingDiverged, match=where):
        made.run(parts(2), Unjudged(), Hooks(step=poison, epoch=lambda row, save: None))


def test_weights_that_the_last_step_spoilt_are_not_kept(weights):
    made = trainer(weights)

    def poison(event):
        if (event.epoch, event.step) == (0, STEPS - 1):
            with torch.no_grad():
                next(made.network.parameters()).fill_(float("inf"))

    kept = []
    with pytest.raises(TrainingDiverged, match=r"^epoch 0, the weights are no longer finite"):
        made.run(parts(2), Unjudged(), Hooks(step=poison, epoch=lambda row, save: kept.append(row)))
    assert not kept


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"optimizer": {"average": 1.0}},
            r"^optimizer\.average: found 1\.0, expected 0 to below 1",
        ),
        ({"optimizer": {"depth_decay": 0}}, r"^optimizer\.depth_decay: found 0"),
        (
            {"optimizer": {"warmup": 1.5}},
            r"^optimizer\.warmup: found 1\.5, expected 0 to 1: a share of the run's steps",
        ),
        ({"optimizer": {"freeze_epochs": 30}}, r"^optimizer\.freeze_epochs: found 30, expected at most the 20"),
        ({"optimizer": {"freeze_epochs": 1}}, r"^optimizer\.freeze_epochs: found 1, but .* random weights"),
        ({"optimizer": {"freeze_stages": 1}}, r"^optimizer\.freeze_stages: found 1, but .* random weights"),
        ({"optimizer": {"lora": 8}}, r"^optimizer\.lora: found 8, but .* random weights"),
        ({"interpolate": True}, r"^interpolate: found True, but .* random weights"),
        ({"precision": "bf61"}, r"^precision: found 'bf61', expected one of auto, float32, bf16$"),
    ],
)
def test_impossible_settings_are_refused(changes, said):
    with pytest.raises(InputError, match=said):
        if optimizer := changes.pop("optimizer", None):
            changes["optimizer"] = OptimizerSettings(**optimizer)
        TrainSettings(**{"epochs": 20, "network": NETWORK} | changes)

"""What a sweep is refused for before anything starts, and how trials share a cluster."""

from types import SimpleNamespace

import pytest

from fashion.errors import InputError
from fashion.networks.settings import SHIPPED, NetworkSettings
from fashion.training.recipe import OptimizerSettings
from fashion.training.settings import LossSettings, ResourceSettings, TrainSettings
from fashion.tuning.overrides import override
from fashion.tuning.plan import SweepSettings, plan_sweep, share_cluster
from fashion.tuning.settings import BudgetSettings, SchedulerSettings, SearchSettings
from tests.catalogues import table_manifest

MARGINS = {"loss.margin": {"uniform": [0.1, 0.5]}}
BOUND = {"uniform": [0.2, {"below": "loss.margin"}], "when": {"loss.name": "improved-triplet"}}
TRIPLET = TrainSettings(epochs=8, loss=LossSettings(name="triplet"))


def table(items=64):
    return SimpleNamespace(
        shards=lambda split: [SimpleNamespace(name="s", groups=[items])],
        manifest=table_manifest(
            domains=["consumer", "shop"],
            labels={"train": {"images": 4 * items, "attributes": 0}},
        ),
    )


def plan(space=MARGINS, train=TRIPLET, **more):
    return plan_sweep(SweepSettings(space=space, train=train, **more), table())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"space": {"loss.margin": {"uniform": [-0.1, 0.5]}}}, r"loss\.margin -0\.1 is not possible: loss\.margin"),
        ({"space": {"loss.margin": {"uniform": [0, 0.5]}}}, "semi-hard negatives lie within it"),
        ({"space": {"loss.temperature": {"uniform": [0.1, 0.5]}}}, "but triplet has no such setting"),
        ({"space": {"batch.items": {"choice": [16, 65]}}}, "found 65, but there are 64 training items"),
        ({"space": {"network.dimension": {"integers": [0, 8]}}}, r"network\.dimension: found 0, expected at least 1"),
        ({"space": {"optimizer.freeze_epochs": {"choice": [0, 9]}}}, r"optimizer\.freeze_epochs: found 9"),
        (
            {"space": {**MARGINS, "loss.name": {"choice": ["triplet", "improved-triplet"]}, "loss.bound": BOUND}},
            r"space\.loss\.bound: from 0\.2 to below loss\.margin is empty where loss\.margin is 0\.1",
        ),
        ({"space": {"epochs": {"choice": [1, 2]}}}, r"space\.epochs: cannot be searched"),
        ({"space": {"validation.metric": {"choice": ["map"]}}}, "must be the same for all"),
        ({"space": {"resources.workers": {"choice": [1]}}}, "how a trial runs, not what it learns"),
        ({"scheduler": SchedulerSettings(grace=9)}, "expected at most the trials' 8 epochs"),
        ({"scheduler": SchedulerSettings(name="pbt"), "space": {"batch.items": {"choice": [4, 8]}}}, "pbt changes"),
        ({"scheduler": SchedulerSettings(name="pbt"), "budget": BudgetSettings(hours=1)}, "a budget of trials"),
        ({"scheduler": SchedulerSettings(name="hyperband"), "budget": BudgetSettings(epochs=9)}, "a budget of trials"),
        ({"search": SearchSettings(name="grid")}, "a grid needs"),
        (
            {"search": SearchSettings(name="grid"), "space": {"loss.margin": {"choice": [0.1, 0.2]}},
             "budget": BudgetSettings(trials=1)},
            "budget.trials: found 1, the grid has 2",
        ),
    ],
)  # fmt: skip
def test_a_sweep_that_cannot_go_well_is_refused(options, said):
    with pytest.raises(InputError, match=said) as found:
        plan(**options)
    assert "\n" not in str(found.value)


def test_trials_of_a_budget():
    assert plan().trials == 20
    assert plan(budget=BudgetSettings(trials=3)).trials == 3
    assert plan(budget=BudgetSettings(hours=1)).trials == float("inf")
    grid = {"search": SearchSettings(name="grid"), "space": {"loss.margin": {"choice": [0.1, 0.2]}}}
    assert [plan(**grid).draw(i) for i in range(2)] == [{"loss.margin": 0.1}, {"loss.margin": 0.2}]


def test_settings_are_changed_together_and_nothing_else_is():
    values = {"loss.name": "improved-triplet", "loss.margin": 0.4, "loss.bound": 0.3, "epochs": 5}
    found = override(TRIPLET, values)
    assert (found.loss.name, found.loss.margin, found.loss.bound, found.epochs) == ("improved-triplet", 0.4, 0.3, 5)
    assert (found.batch, found.network, found.optimizer) == (TRIPLET.batch, TRIPLET.network, TRIPLET.optimizer)


def test_each_network_of_a_sweep_has_its_own_defaults_and_what_was_chosen_for_all():
    def of(network, base):
        s = override(base, {"network.name": network})
        return s.network.size, s.network.pretrained, s.optimizer.learning_rate

    names = [SHIPPED, "resnet10", "resnet18"]
    alone = [TrainSettings(network=NetworkSettings(name=name)) for name in names]
    for base in alone:
        assert [of(name, base) for name in names] == [
            (160, "DEFAULT", 2e-3), (80, None, 4e-3), (64, None, 2e-3)
        ]  # fmt: skip
        assert [override(base, {"network.name": name}).identity() for name in names] == [a.identity() for a in alone]
    chosen = TrainSettings(network=NetworkSettings(size=96), optimizer=OptimizerSettings(learning_rate=1e-4))
    assert [of(name, chosen) for name in names] == [(96, "DEFAULT", 1e-4), (96, None, 1e-4), (96, None, 1e-4)]
    both = {"network.name": "resnet10", "network.size": 48, "optimizer.learning_rate": 1e-3}
    found = override(TrainSettings(), both)
    assert (found.network.size, found.network.pretrained, found.learning_rate) == (48, None, 1e-3)


@pytest.mark.parametrize(
    ("cluster", "wanted", "concurrent", "expected"),
    [
        (dict(cpus=4, gpus=0, cores=2, machines=1), {}, None, (1, 2, 2)),  # a laptop of two cores, four logical CPUs
        (dict(cpus=64, gpus=0, cores=16, machines=4), {}, None, (4, 8, 16)),
        (dict(cpus=64, gpus=0, cores=16, machines=4), {"workers": 2}, None, (2, 16, 16)),
        (dict(cpus=64, gpus=8, cores=64, machines=1), {}, None, (8, 7, 64)),
        (dict(cpus=64, gpus=8, cores=64, machines=1), {"workers": 4}, None, (2, 28, 16)),
        (dict(cpus=64, gpus=0, cores=64, machines=1), {}, 8, (8, 7, 8)),
        (dict(cpus=64, gpus=0, cores=64, machines=1), {"feed_actors": 3}, 8, (8, 3, 8)),
    ],
)
def test_trials_share_the_cluster_and_never_ask_for_more(cluster, wanted, concurrent, expected):
    count, each = share_cluster(ResourceSettings(**wanted), concurrent, **cluster)
    assert (count, each.feed_actors, each.threads) == expected
    assert count * (each.workers * each.worker_cpus + each.feed_actors * each.feed_cpus) <= cluster["cpus"]
    assert count * (each.workers * each.worker_cpus + each.feed_most * each.feed_cpus) <= cluster["cpus"]
    assert not each.gpu or count * each.workers <= cluster["gpus"]


def test_more_trials_at_a_time_than_fit_are_refused():
    with pytest.raises(InputError, match=r"concurrent: 4 trials at a time do not fit: for each, .*need 2 CPUs"):
        share_cluster(ResourceSettings(), 4, cpus=4, gpus=0, cores=4, machines=1)

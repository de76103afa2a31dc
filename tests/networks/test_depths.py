import pytest

from fashion.networks.heads import new_parameters
from fashion.networks.model import build_network, parameter_depths
from fashion.networks.settings import NetworkSettings

SETTINGS = {
    "embnet": (NetworkSettings(name="embnet", width=0.125, dimension=8), 4),
    "dual": (NetworkSettings(name="embnet", width=0.125, dimension=8, branches="dual", shared_stages=1), 4),
    "resnet18": (NetworkSettings(name="resnet18", dimension=8), 6),
    "fashionnet": (NetworkSettings(name="embnet", width=0.125, dimension=8, size=32, hidden=8, design="fashionnet"), 4),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_each_parameter_has_one_depth_and_the_head_comes_last(name):
    settings, count = SETTINGS[name]
    network = build_network(settings, seed=0)
    groups = parameter_depths(network)
    assert len(groups) == count and all(groups)
    flat = [p for group in groups for p in group]
    assert len(flat) == len(set(flat)) and set(flat) == set(network.parameters())
    assert set(groups[-1]) == new_parameters(network)


def test_depths_follow_the_forward_pass_and_both_branches_are_as_deep():
    network = build_network(SETTINGS["dual"][0], seed=0)
    depth = {p: i for i, group in enumerate(parameter_depths(network)) for p in group}
    for branch in network.branches:
        assert [depth[next(stage.parameters())] for stage in branch] == [1, 2, 3]
    assert depth[next(network.shared.parameters())] == 0

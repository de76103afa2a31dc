"""Training with fewer workers while there is no room for all: what is accepted, and what is taken of a cluster."""

import pytest

from fashion.errors import InputError
from fashion.training.resources import decide_resources
from fashion.training.settings import BatchSettings, ResourceSettings, TrainSettings


def settings(items, **resources):
    return TrainSettings(batch=BatchSettings(items=items), resources=ResourceSettings(**resources))


def test_the_global_batch_divides_by_every_number_of_workers_that_there_may_be():
    assert settings(48, workers=4, min_workers=2)  # 2, 3 and 4
    with pytest.raises(InputError, match=r"^batch\.items: found 64 for 2 to 4 workers .* multiple of each; 60 is one$"):
        settings(64, workers=4, min_workers=2)
    with pytest.raises(InputError, match=r"^batch\.items: found 64 for 3 workers .* multiple of that; 63 is one$"):
        settings(64, workers=3)


@pytest.mark.parametrize("least", [0, 5])
def test_the_fewest_workers_are_some_and_no_more_than_all(least):
    with pytest.raises(InputError, match=rf"^resources\.min_workers: found {least}, expected 1 to the 4"):
        settings(64, workers=4, min_workers=least)


def test_a_cluster_with_room_for_the_fewest_will_do():
    wanted = ResourceSettings(workers=4, min_workers=2, feed_actors=1)
    found = decide_resources(wanted, cpus=8, gpus=2, cores=8)
    assert (found.min_workers, found.workers, found.gpu) == (2, 4, True)
    assert decide_resources(wanted, cpus=3, gpus=0, cores=8).workers == 4
    with pytest.raises(InputError, match="2 workers x 1 CPUs and 1 feed actors x 1 need 3 CPUs, the cluster has 2"):
        decide_resources(wanted, cpus=2, gpus=0, cores=8)
    with pytest.raises(InputError, match="2 workers with a GPU each, the cluster has 1 GPUs"):
        decide_resources(ResourceSettings(workers=4, min_workers=2, gpu=True), cpus=8, gpus=1, cores=8)
    fixed = decide_resources(ResourceSettings(workers=2), cpus=8, gpus=0, cores=8)
    assert fixed.min_workers == fixed.workers == 2

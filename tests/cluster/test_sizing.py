"""The sizing of clusters: what can be worked out by hand, what must hold whatever the rates, and the table in SIZING.md."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.sizing import RATES, SIZES, finding, mined_table, read_rates, size, table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def rates():
    """Round figures in place of the file's."""
    held, _ = read_rates(RATES)
    return replace(
        held,
        cpu=replace(held.cpu, cores=10, network_GB_s=1.0, price=1.0),
        gpu=replace(held.gpu, cores=10, gpus=1, network_GB_s=1.0, price=2.0),
        most={"cpu": 100, "gpu": 64},
        storage={"objects_s_prefix": 5000, "prefixes": 4, "GB_s": 100},
        images={"source_MB": 0.1, "packed_MB": 0.02, "shard": 2000, "dimension": 128},
        core={"pack": 100, "decode": 1000, "scores_M": 100},
        on_gpu={"train": 500, "embed": 2000, "item_pairs_M": 1000},
        mining={"every": 3, "images": 4},
        training={"epochs": 10, "global_batch": 4096, "least_batch": 64, "parameters_M": 25.0},
        queries=10_000,
        deadline_h={"prepare": 10, "train": 100, "embed": 10, "search": 10},
    )


def needs(n, rates):
    return {need.job: need for need in size(n, rates)}


def test_by_hand(rates):
    found = needs(1e8, rates)
    # prepare: 1,000 images/s a machine, 36 million in 10 h: three machines, 1e8 / 3,000 / 3,600 = 9.26 h, 27.8 USD.
    job = found["prepare"]
    assert (job.cpu_machines, job.gpu_machines, job.bottleneck) == (3, 0, "CPU")
    assert job.hours == pytest.approx(9.26, abs=0.01) and job.cost == pytest.approx(27.8, abs=0.1)
    # embed: 2,000 a GPU, 72 million in 10 h: two.
    job = found["embed"]
    assert (job.gpu_machines, job.bottleneck) == (2, "GPU") and job.hours == pytest.approx(6.94, abs=0.01)
    # search: 10 cores x 1e8 / 1e4 queries = 1e5 gallery images/s: 1e8 in 1,000 s.
    assert found["search"].hours == pytest.approx(1000 / 3600)
    # train on one machine would take 1e9 / 500 / 3,600 = 556 h; on 7: 4,096 / (4,096 / 3,500 + 0.2 x 6 / 7) = 3,053/s.
    job = found["train"]
    assert job.gpu_machines == 7 and job.hours == pytest.approx(1e9 / 3053 / 3600, rel=0.01) and job.cpu_machines == 0


def test_what_runs_out_first(rates):
    small = needs(1e6, replace(rates, gpu=replace(rates.gpu, cores=1)))
    assert small["embed"].bottleneck == "CPU that decodes"
    slow = replace(rates, core={**rates.core, "pack": 1e5})
    assert needs(1e10, slow)["prepare"].bottleneck == "objects a second"
    few = needs(1e10, replace(rates, most={"cpu": 1, "gpu": 1}))
    assert few["prepare"].late and few["prepare"].bottleneck.endswith("to be had")
    assert few["train"].late and few["train"].bottleneck.endswith("to be had")
    many = needs(1e10, replace(rates, gpu=replace(rates.gpu, network_GB_s=1e3), most={"cpu": 100, "gpu": 10_000}))
    assert many["train"].bottleneck == "size of the global batch" and many["train"].gpu_machines == 4096 // 64
    thin = needs(1e9, replace(rates, gpu=replace(rates.gpu, network_GB_s=0.05)))
    assert thin["train"].bottleneck == "exchange of gradients"


def test_trainers_get_cpu_machines_when_their_own_cores_are_too_few(rates):
    lean = replace(rates, gpu=replace(rates.gpu, cores=1), core={**rates.core, "decode": 100})
    job = needs(1e8, lean)["train"]  # a machine decodes 100/s itself and needs about 450: a CPU machine decodes 1,000
    rate = 1e9 / job.hours / 3600
    assert job.gpu_machines * 100 + job.cpu_machines * 1000 >= rate
    assert job.gpu_machines * 100 + (job.cpu_machines - 1) * 1000 < rate


@pytest.mark.parametrize("job", ["prepare", "train", "embed", "search"])
def test_more_images_never_take_less(rates, job):
    found = [needs(n, rates)[job] for n in (1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11)]
    for less, more in itertools.pairwise(found):
        assert more.cost >= less.cost
        assert more.hours * more.gpu_machines >= less.hours * less.gpu_machines * 0.99
        assert less.late <= more.late


def test_a_job_that_is_not_late_ends_by_its_deadline(rates):
    for n in (1e6, 1e8, 1e10):
        for job, need in needs(n, rates).items():
            assert need.late == (need.hours > rates.deadline_h[job] * 1.001)
            assert need.hours > 0 and need.cost > 0 and need.bottleneck


def test_neighbours_by_hand(rates):
    # Seven GPUs, as above; 25 million items, found 10 // 3 times: 5e7 photos at 14,000/s, 6.25e14 pairs at 7e9/s.
    found = finding(1e8, rates)
    assert found.hours == pytest.approx(3 * (5e7 / 14e3 + 6.25e14 / 7e9) / 3600) and found.most == "comparing"
    assert found.share == pytest.approx(found.hours / needs(1e8, rates)["train"].hours)
    few = finding(1e5, rates)  # a GPU and 10 cores, which decode 10,000/s
    assert few.hours == pytest.approx(3 * (5e4 / 2e3 + 6.25e8 / 1e9) / 3600) and few.most == "embedding: GPU"
    lean = finding(1e5, replace(rates, core={**rates.core, "decode": 100}))
    assert lean.hours == pytest.approx(3 * (5e4 / 1e3 + 6.25e8 / 1e9) / 3600)
    assert lean.most == "embedding: CPU that decodes"


def test_the_page_shows_what_the_script_computes():
    held, assumed = read_rates(RATES)
    page = (ROOT / "cluster/SIZING.md").read_text()
    assert table([(n, need) for n in SIZES for need in size(n, held)]) in page
    assert mined_table([finding(n, held) for n in SIZES]) in page
    assert f"Not measured, but assumed: {', '.join(assumed)}." in page

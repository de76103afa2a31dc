"""Neighbours found between epochs: the same file whatever the workers, from the network of the checkpoint, and a run that
was killed draws what an unbroken one draws."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from fashion.data.hard_plan import HardPlan
from fashion.data.mining import MiningSettings
from fashion.data.neighbours import DUPLICATES, FOLDER, file_of, forget_after, read_neighbours
from fashion.data.plan import Plan
from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.losses import LossSettings, build_loss
from fashion.networks.files import fingerprint, load_network
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.storage import Store
from fashion.training import miner, nearest
from fashion.training.checkpoint import NETWORK, read_training_state, write_checkpoint
from fashion.training.job import hard_plan
from fashion.training.loop import Trainer
from fashion.training.miner import Miner
from fashion.training.recipe import OptimizerSettings
from fashion.training.settings import BatchSettings, TrainSettings
from fashion.training.validate import Validation
from tests.catalogues import make_table, photos, run_record
from tests.training import running
from tests.training.test_resume import batches

MINING = MiningSettings(every=2, start=1, group=2, last_rank=5, duplicate=1)
SETTINGS = TrainSettings(
    epochs=5,
    precision="float32",
    batch=BatchSettings(items=8),
    network=NetworkSettings(name="embnet", size=32, width=0.25, dimension=16),
    loss=LossSettings(name="triplet", mining="random", memory=24, domains="cross"),
    optimizer=OptimizerSettings(average=0.8),
    mining=MINING,
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_table(Store(tmp_path_factory.mktemp("mined")), photos(60, splits=("train", "train", "train", "val")))


def plan_of(table, run, mining=MINING):
    return HardPlan.over(Plan.of(table.shards("train"), items_per_step=8, seed=0), mining, run, table.fingerprint)


def miner_of(table, plan, **changes):
    return Miner(table, plan, **{"domains": "cross", "size": 32, "crop": "whole", "threads": 1} | changes)


def network():
    return build_network(SETTINGS.network, seed=0)


class Workers:
    """Threads that gather as the workers of a run do."""

    def __init__(self, count: int):
        self.count, self.own, self.parts = count, threading.local(), [None] * count
        self.barrier = threading.Barrier(count, timeout=60)

    def gather_rows(self, x):
        self.parts[self.own.rank] = x
        self.barrier.wait()
        whole = torch.cat(self.parts)
        self.barrier.wait()
        return whole

    def each(self, work) -> list:
        def run(rank: int):
            self.own.rank = rank
            return work()

        with ThreadPoolExecutor(self.count) as pool:
            return list(pool.map(run, range(self.count)))


def test_any_number_of_workers_writes_the_same_file(table, tmp_path, monkeypatch):
    monkeypatch.setattr(nearest, "PAIRS", 200)  # several blocks a worker
    monkeypatch.setattr(nearest, "ACROSS", 16)
    files = []
    for count in (1, 2, 4):
        workers, run = Workers(count), Store(tmp_path / str(count))
        monkeypatch.setattr(miner, "rank", lambda w=workers: w.own.rank)
        monkeypatch.setattr(miner, "world", lambda n=count: n)
        monkeypatch.setattr(miner, "gather_rows", workers.gather_rows)
        networks = [network() for _ in range(count)]  # here: seeds are a process's

        def refresh(run=run, workers=workers, networks=networks):
            row = miner_of(table, plan_of(table, run)).refresh(networks[workers.own.rank], 1, autocast=False)
            return row | {"mining_s": 0}

        rows = workers.each(refresh)
        assert all(row == rows[0] for row in rows) and -1 < rows[0]["near"] < 1
        assert run.names(recursive=True) == [DUPLICATES, file_of(1)]
        files.append(run.read(file_of(1)))
    assert files[0] == files[1] == files[2]
    found = read_neighbours(Store(tmp_path / "2"), 1, items=45, data=table.fingerprint)
    assert found.origin["network"] == fingerprint(network())


def test_neighbours_are_those_of_embeddings_made_one_by_one(table, tmp_path):
    run, net = Store(tmp_path), network()
    plan = plan_of(table, run)
    finder = miner_of(table, plan)
    finder.refresh(net, 1, autocast=False)
    assert net.training
    z_NVD, domain_NV = finder._embedded(net, 1, False)
    assert domain_NV.tolist() == [[0, 1]] * 45
    net.eval()
    rows = [row for group in plan.groups for row in table.read(group.shard, group.index).to_pylist()]
    for label, row in enumerate(rows):
        of_item = [torch.from_numpy(_pixels(image))[None] for image in row["images"]]
        z = torch.cat([net(x, torch.tensor([0])) for x in of_item]).detach()
        for v, domain in enumerate(("consumer", "shop")):
            own = [i for i, image in enumerate(row["images"]) if image["domain"] == domain]
            assert (z[own] @ z_NVD[label, v]).max() == pytest.approx(1, abs=1e-4)
    similarity = torch.maximum(z_NVD[:, 0] @ z_NVD[:, 1].T, z_NVD[:, 1] @ z_NVD[:, 0].T).fill_diagonal_(-2)
    found = read_neighbours(run, 1, items=45, data=table.fingerprint)
    assert np.array_equal(found.nearest_NK, similarity.sort(dim=1, descending=True, stable=True).indices[:, :5].numpy())


def _pixels(image):
    from fashion.data.decode import decode

    return decode(image["jpeg"], size=(32, 32))


def make(table, plan, net=None):
    loss = build_loss(SETTINGS.loss, dimension=16, classes=plan.items)
    start = partial(build_network, SETTINGS.network, seed=0)
    return Trainer(
        SETTINGS, net or start(), loss, steps=plan.steps, device=CPU, start=start, miner=miner_of(table, plan)
    )


def run_of(trainer, table, stream, until=None):
    running.run(trainer, stream, Validation(table, items=100, size=32, crop="whole", threads=1), until)


def numbers(history):
    return [{k: v for k, v in row.items() if k != "mining_s"} for row in running.numbers(history)]


@pytest.mark.parametrize("broken_after", [0, 1, 2, 3])
def test_a_run_that_was_killed_draws_what_an_unbroken_one_draws(table, tmp_path, broken_after):
    whole_run, run = Store(tmp_path / "whole"), Store(tmp_path / "broken")
    plan = plan_of(table, whole_run)
    whole = make(table, plan)
    run_of(whole, table, batches(table, plan, range(5)))
    assert len(whole.history) == 5 and whole_run.names(FOLDER) == [file_of(1), file_of(3)]
    assert [row.epoch for row in whole.history if row.mining_s is not None] == [0, 2]

    plan = plan_of(table, run)
    first = make(table, plan)
    run_of(first, table, batches(table, plan, range(5)), until=broken_after)
    begun = run_record(SETTINGS.identity())
    digest = write_checkpoint(str(tmp_path), first.kept, first.state(), history=first.history, run=begun)
    if MINING.of(broken_after + 1) == broken_after + 1:
        found = read_neighbours(run, broken_after + 1, items=45, data=table.fingerprint)
        assert found.origin["network"] == digest  # they are those of the checkpoint
    run.write(file_of(broken_after + 2), b"of an epoch that was killed before its checkpoint was there")
    forget_after(run, broken_after + 1)

    net, _ = load_network(Store(tmp_path), NETWORK)
    plan = plan_of(table, run)
    second = make(table, plan, net)
    second.restore(*read_training_state(str(tmp_path)))
    run_of(second, table, batches(table, plan, range(broken_after + 1, 5)))
    assert numbers(second.history) == numbers(whole.history)
    assert all(torch.equal(x, second.kept.state_dict()[name]) for name, x in whole.kept.state_dict().items())
    assert all(run.read(name) == whole_run.read(name) for name in whole_run.names(FOLDER))


def test_a_run_whose_neighbours_are_not_there_finds_them_before_it_goes_on(table, tmp_path):
    plan = plan_of(table, Store(tmp_path), replace(MINING, start=0))
    trainer = make(table, plan)
    assert trainer.miner.lacking(0)
    run_of(trainer, table, batches(table, plan, range(5)), until=0)
    found = read_neighbours(Store(tmp_path), 0, items=45, data=table.fingerprint)
    assert found.origin["network"] == fingerprint(network())


def test_near_duplicates_are_listed_by_name_and_stand_in_no_group_together(tmp_path):
    rows = [replace(row, item=row.item.replace("id_", "=cmd|")) for row in photos(30, splits=("train",))]
    twins = [replace(row, item=f"twin-{row.item}", image=f"twin/{row.image}") for row in rows if "007" in row.item]
    table, run = make_table(Store(tmp_path / "table"), rows + twins), Store(tmp_path / "run")
    plan = plan_of(table, run, replace(MINING, duplicate=0.99999))
    row = miner_of(table, plan).refresh(network(), 1, autocast=False)
    lines = run.read(DUPLICATES).decode().splitlines()
    assert lines[0] == "item,other,similarity" and len(lines) == 1 + row["near_duplicates"]
    names = [table.read(g.shard, g.index)["item"].to_pylist() for g in plan.groups]
    labels = {name: i for i, name in enumerate(name for group in names for name in group)}
    a, b = labels["=cmd|007"], labels["twin-=cmd|007"]
    listed = {frozenset(line.split(",")[:2]) for line in lines[1:]}
    assert frozenset(("'=cmd|007", "twin-=cmd|007")) in listed
    found = read_neighbours(run, 1, items=31, data=table.fingerprint)
    assert b not in found.nearest_NK[a] and a not in found.nearest_NK[b]
    with_twins = plan_of(table, run, replace(MINING, last_rank=29))
    miner_of(table, with_twins, domains="within").refresh(network(), 1, autocast=False)
    assert read_neighbours(run, 1, items=31, data=table.fingerprint).nearest_NK[a, 0] == b


def test_matching_by_category_is_refused_and_a_run_of_random_batches_says_nothing_of_mining(table, tmp_path):
    assert "mining" not in TrainSettings().identity() and "mining" in SETTINGS.identity()
    plan = Plan.of(table.shards("train"), items_per_step=8, seed=0)
    assert hard_plan(MiningSettings(), plan, table, Store(tmp_path)) is plan
    assert hard_plan(MINING, plan, table, Store(tmp_path)) == plan_of(table, Store(tmp_path))

    class ByCategory(ItemTable):
        positives = "category"

    with pytest.raises(InputError, match=r"^mining\.every: found 2, but .* matches by category"):
        hard_plan(MINING, plan, ByCategory(table.store), Store(tmp_path))

"""JSON files of ours that say something else, with no checksum beside it: used as they are meant, or one line."""

import copy
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fashion.claim import CLAIM, sole_writer
from fashion.data.labels import count_attributes, vocabulary_of
from fashion.data.plan import Plan
from fashion.data.prepare.earlier import Earlier
from fashion.data.prepare.finish import counts_of
from fashion.data.prepare.planned import PLAN, PlannedShard, PlanRecord, TablePlan
from fashion.data.prepare.stats import PackStats, read_stats
from fashion.data.schema import stats_file
from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.json_values import of_plain
from fashion.retrieval.embeddings import check_comparable, claim, open_catalogue, write_manifest
from fashion.retrieval.gate.compare import compare
from fashion.retrieval.gate.gate import open_gate
from fashion.retrieval.settings import GateSettings
from fashion.sealed import CHECKSUM
from fashion.storage import Store
from fashion.training.checkpoint import best_checkpoint, checkpoints
from fashion.training.defaults import settle
from fashion.training.mend import mend_run
from fashion.training.resume import held_epochs, with_epochs
from fashion.training.run_record import RunRecord, open_run
from fashion.training.settings import TrainSettings
from fashion.training.start import find_start
from fashion.tuning.records import SweepRecord, newest, open_sweep, read_trials, seconds_spent
from tests.catalogues import make_catalogue, make_run, make_table, photos
from tests.faults.fuzz import FUZZ

ODD = [
    None, True, 0, -1, 10**30, 1.5, float("nan"), "", "x", "../x", "a\0b", "9" * 30, [], [[]], [None], {}, {"": None},
    {"a": [1]},
]  # fmt: skip


def places(value, path=()) -> Iterator[tuple]:
    """Of all that is in it."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, held in inner:
        yield from places(held, (*path, key))


@st.composite
def other(draw: st.DrawFn, value):
    """The value with one to three things in it replaced, taken out, or others put in."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(value))))
        odd = copy.deepcopy(draw(st.sampled_from(ODD)))
        if not path:
            value = odd if draw(st.integers(0, 9)) == 0 else value
            continue
        inside = value
        for key in path[:-1]:
            inside = inside[key]
        how = draw(st.sampled_from(["replace", "delete", "add"]))
        if how == "delete":
            del inside[path[-1]]
        elif how == "replace":
            inside[path[-1]] = odd
        elif isinstance(inside, dict):
            inside["new"] = odd
        else:
            inside.append(odd)
    return value


def table(folder: Path) -> None:
    make_table(Store(folder), photos(6, splits=("train", "val")))


def use_table(folder: Path) -> None:
    held = ItemTable(Store(folder))
    assert held.positives and held.fingerprint and held.categories is not None
    held.check_categories("train", "val")
    settle(TrainSettings(), held, 3)
    Plan.of(held.shards("train"), items_per_step=1, seed=0)
    count_attributes(vocabulary_of(held), held)
    for shard in held.shards("val"):
        assert shard.file and shard.images >= 0


def catalogue(folder: Path) -> None:
    x_ND = np.eye(6, 4, dtype=np.float32)
    about = pa.table({"image": list("abcdef"), "item": list("aabbcc"), "domain": ["shop", "consumer"] * 3})
    make_catalogue(Store(folder), x_ND, about, shards=2)


def use_catalogue(folder: Path) -> None:
    from fashion.retrieval.lookup import nearest

    found = store, manifest = open_catalogue(str(folder))
    check_comparable(found, {"network": "f" * 16, "data": "d" * 16, "format": 3})
    claim(store, {"network": "f" * 16, "data": "d" * 16, "format": 3})
    if manifest.shards:
        write_manifest(store, manifest.identity, manifest.shards, data_uri="nowhere")
    nearest(found, np.eye(1, 4, dtype=np.float32), 2, domain="any")


RUN = {
    "settings": TrainSettings(epochs=3).identity(),
    "data": {"uri": "table", "fingerprint": "d" * 16, "labels": [{"uri": "other", "fingerprint": "e" * 16}]},
}


def run(folder: Path) -> None:
    store = make_run(folder)
    about = store.read_json("checkpoint_epoch=0000/checkpoint.json")
    row = {"epoch": 0, "recall": {"1": 0.5}, "queries": 20, "seconds": 1.0, "loss": 0.5}
    store.write_json("checkpoint_epoch=0000/checkpoint.json", about | {"history": [row]})
    store.write_json("run.json", RUN)


def use_run(folder: Path) -> None:
    store = Store(folder)
    held_epochs(store)
    with_epochs(TrainSettings(), store)
    with suppress(InputError):
        find_start(RUN_SETTINGS.network, store)
    with suppress(InputError):
        open_run(store, of_plain(RunRecord, RUN))
    for found in checkpoints(store):
        assert found.epoch >= 0 and found.history and found.name
    best_checkpoint(store)
    mend_run(store, "recall@1")


RUN_SETTINGS = TrainSettings()
METRICS = {
    "model": {"fingerprint": "f" * 16, "run": "run"}, "data": {"fingerprint": "d" * 16}, "recall": {"1": 0.5, "5": 0.75},
    "queries": 4, "gallery": 9, "unmatched_queries": 0, "query_set": "q", "gallery_set": "g", "map": 0.5,
    "protocol": {"label": "item", "ks": [1, 5]}, "created": "2026-01-01T00:00:00Z",
    "labels": {"category": {"top": {"1": 0.5}}, "landmarks": {"error": 0.1}},
}  # fmt: skip
QUERIES = pa.table(
    {"image": list("abcd"), "item": list("aabb"), "rank": [1, 2, None, 1], "average_precision": [1.0, 0.5, 0.0, 1.0]}
)


def evaluation(folder: Path) -> None:
    Store(folder).write_json("metrics.json", METRICS)
    Store(folder).write_table("queries.parquet", QUERIES)


def use_evaluation(folder: Path) -> None:
    from fashion.retrieval.gate.earlier import Scored, ScoredMetrics

    gate = open_gate(Store(folder / "history"), str(folder), GateSettings(draws=100), tolerance=0.0)
    now = Scored(uri="now", metrics=of_plain(ScoredMetrics, METRICS), queries=QUERIES)
    compare(gate.against, now, gate.settings, tolerance=0.0)


SWEEP = {"settings": {"space": {"loss.margin": [0.1, 0.2]}}, "data": {"uri": "table", "fingerprint": "d" * 16}}


def sweep(folder: Path) -> None:
    store = Store(folder)
    store.write_json("sweep.json", SWEEP)
    store.write_json("clock.json", {"seconds": 3.5})
    store.write_json("trials/trial-0000/trial.json", {"number": 0, "values": {"loss.margin": 0.1}, "status": "open"})
    store.write_json("trials/trial-0000/history.json", [{"epoch": 0, "recall": {"1": 0.5}, "seconds": 1.0}])


def use_sweep(folder: Path) -> None:
    store = Store(folder)
    for trial in read_trials(store, "recall@1"):
        assert trial.record.name and trial.epochs >= 0 and (trial.best is None or trial.best)
    newest(store, 0)
    assert isinstance(seconds_spent(store), float | int)
    open_sweep(store, of_plain(SweepRecord, SWEEP))


def held_folder(folder: Path) -> None:
    """As a process that is dead left it."""
    with sole_writer(Store(folder)):
        claimed = Store(folder).read_json(CLAIM)
    Store(folder).write_json(CLAIM, claimed | {"begun": "1"})


def use_held_folder(folder: Path) -> None:
    with sole_writer(Store(folder)):
        pass


def prepared(folder: Path) -> None:
    """What a prepare that was broken off left: its plan, and one packed shard of it."""
    shards = (
        PlannedShard(
            split="train",
            start=number << 62,
            images=3,
            annotations="a" * 32,
            rows="b" * 32,
            name=f"train/shard-{number:05d}",
            layer=number,
            old=("train/shard-00007", "c" * 32) if number else None,
            sources=(("train/shard-00009", "d" * 32),) if number else (),
        )
        for number in range(2)
    )
    plan = TablePlan(
        shards=tuple(shards), settings={"seed": 0}, sources="e", pictures={"folders": [], "digest": ""}, metadata={},
        reasons={"no item": 1}, changed=True, finished={},
    )  # fmt: skip
    stats = PackStats(
        name="train/shard-00000", split="train", groups=(2,), items=2, images=3, bad=1, bytes=9, digest="f",
        reasons={"the file is not there": 1}, dropped=(("item", "image"),),
    )  # fmt: skip
    Store(folder).write_value(PLAN, plan.record)
    Store(folder).write_value(stats_file(stats.name), stats)


def use_prepared(folder: Path) -> None:
    plan = TablePlan.of(Store(folder).read_value(PLAN, PlanRecord), changed=True, finished={})
    Store(folder).write_value(PLAN, plan.record)
    starts = Earlier(None, [plan.record]).starts or {}
    assert sum(map(len, starts.values())) == len(plan.shards)
    stats = read_stats(Store(folder), "train/shard-00000")
    assert counts_of([stats])["images"] == stats.info.images
    assert all(len(key) == 2 for key in stats.dropped)


KINDS: dict[str, tuple[Callable, Callable]] = {
    "table": (table, use_table), "catalogue": (catalogue, use_catalogue), "run": (run, use_run),
    "evaluation": (evaluation, use_evaluation), "sweep": (sweep, use_sweep), "claim": (held_folder, use_held_folder),
    "prepared": (prepared, use_prepared),
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folders = {}
    for kind, (make, _) in KINDS.items():
        folders[kind] = tmp_path_factory.mktemp(kind)
        make(folders[kind])
    return folders


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # a recall of -1
@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(data=st.data())
def test_json_that_says_something_else_is_used_or_one_line(kind, data, whole, monkeypatch):
    monkeypatch.setattr("fashion.claim.STALE_S", 0.0)
    names = [name for name in Store(whole[kind]).names(recursive=True) if name.endswith(".json")]
    name = data.draw(st.sampled_from(names))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "copy"
        shutil.copytree(whole[kind], folder)
        value = json.loads((folder / name).read_text())
        if isinstance(value, dict):
            value.pop(CHECKSUM, None)
        said = data.draw(other(value))
        (folder / name).write_text(json.dumps(said))
        try:
            KINDS[kind][1](folder)
        except (InputError, FileNotFoundError) as fault:  # of which jobs make one line
            assert "\n" not in str(fault) and fault.args


def test_what_is_whole_is_used(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("fashion.claim.STALE_S", 0.0)
    for kind, (_, use) in KINDS.items():
        shutil.copytree(whole[kind], tmp_path / kind)
        use(tmp_path / kind)

"""The whole path through an S3 endpoint, under names that a URL would take apart: prepare, train with two workers, kill
one, resume, evaluate."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fashion.data.prepare.run import prepare
from fashion.data.settings import TableSettings
from fashion.data.table import ItemTable
from fashion.demo.catalogue import write_demo
from fashion.errors import InputError
from fashion.json_values import to_plain
from fashion.pipelines.evaluate import EvaluateSettings, evaluate_run
from fashion.retrieval.gate.history import read_history
from fashion.retrieval.metrics_record import Metrics
from fashion.sealed import to_json
from fashion.storage import Store
from fashion.training.checkpoint import best_checkpoint, checkpoints
from fashion.training.driver import fit
from fashion.training.job import plan_job
from fashion.training.resources import Resources, decide_resources
from fashion.training.settings import BatchSettings, NetworkSettings, ResourceSettings, TrainSettings
from jobs.evaluate import job

PLACE = "s3://shop/In-shop Clothes Retrieval Benchmark"
SETTINGS = TrainSettings(
    epochs=3,
    batch=BatchSettings(items=16),
    network=NetworkSettings(name="embnet", size=32, width=0.25, dimension=16),
    resources=ResourceSettings(workers=2, worker_cpus=0.5, feed_cpus=0.5, feed_actors=2, threads=1, max_failures=2),
)


@pytest.fixture(scope="module")
def table(tmp_path_factory, s3, ray_running):
    root = tmp_path_factory.mktemp("pipeline") / "é日本 #1%20"
    write_demo(root, items=50, seed=2, workers=1)
    s3.create_bucket(Bucket="shop")
    return prepare(
        Store(root), Store(f"{PLACE}/é日本 #1%20"), TableSettings(shard_images=60), warn=print, progress=lambda *_: None
    )


@pytest.fixture(scope="module")
def run(table):
    """A run whose second worker is killed in the second epoch, once; and what it showed."""
    run = Store(f"{PLACE}/run é#1")
    events, killed = [], []

    def show(event):
        events.append(event)
        if event.epoch == 1 and not killed:
            killed.append(_kill_a_worker())

    fit(plan_job(SETTINGS, table, run), show)
    assert killed
    return run, events


def _kill_a_worker() -> int:
    """SIGKILL to one Ray Train worker process of this test's Ray."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
        if "RayTrainWorker" in title:
            os.kill(int(pid), signal.SIGKILL)
            return int(pid)
    raise AssertionError("no training worker is running")


def test_a_killed_worker_costs_no_epoch_and_changes_no_batch(run):
    store, _ = run
    history = store.read_json("history.json")
    assert [row["epoch"] for row in history] == [0, 1, 2]
    assert all(0 <= row["recall"]["1"] <= 1 and row["loss"] > 0 for row in history)
    assert 1 <= len(checkpoints(store)) <= 3  # the best two and the last


def test_the_same_run_unbroken_on_one_worker_learns_the_same(run, table):
    """Plan, views, augmentation and loss do not depend on the workers; only batch statistics do."""
    store, _ = run
    again = Store(f"{PLACE}/run é#2")
    one = TrainSettings(
        **{**_fields(SETTINGS), "epochs": 1, "optimizer": SETTINGS.optimizer, "resources": ResourceSettings(threads=1)}
    )
    fit(plan_job(one, table, again), lambda row: None)
    first, other = store.read_json("history.json")[0], again.read_json("history.json")[0]
    assert first["images"] == other["images"]
    assert first != other and not Store(f"{PLACE}/run é").names()  # run é#2 is another folder than run é#1
    assert other["loss"] == pytest.approx(first["loss"], rel=0.2)


def _fields(settings):
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


def test_a_finished_run_is_left_alone_and_other_settings_are_refused(run, table):
    store, _ = run
    before = {name: store.read(name) for name in ("history.json", "run.json")}
    began = time.monotonic()
    fit(plan_job(SETTINGS, table, store), lambda row: pytest.fail("it trained again"))
    assert time.monotonic() - began < 10
    assert {name: store.read(name) for name in before} == before
    other = TrainSettings(**{**_fields(SETTINGS), "seed": 1})
    with pytest.raises(InputError, match=r"holds a run made with seed 0, and 1 was asked for"):
        fit(plan_job(other, table, store), lambda row: None)


@pytest.fixture(scope="module")
def metrics(run, table):
    return evaluate_run(EvaluateSettings(data=table.store.uri, run=run[0].uri), table, run[0])


def test_evaluation_writes_numbers_rankings_and_a_report_that_agree(metrics, run, table):
    out = run[0] / "evaluation"
    assert out.read_json("metrics.json") == json.loads(json.dumps(metrics))
    assert to_json(to_plain(out.read_value("metrics.json", Metrics))) == out.read("metrics.json")
    with out.open("queries.parquet") as file:
        queries = pq.read_table(file).to_pylist()
    assert len(queries) == metrics["queries"] and metrics["unmatched_queries"] == 0
    for k in (1, 5):
        by_list = np.mean([any(row["top_correct"][:k]) for row in queries])
        by_rank = np.mean([row["rank"] is not None and row["rank"] <= k for row in queries])
        assert metrics["recall"][str(k)] == pytest.approx(by_list) == pytest.approx(by_rank)
    for row in queries:
        assert row["top_correct"] == [item == row["item"] for item in row["top_items"]]
        assert row["top_scores"] == sorted(row["top_scores"], reverse=True)
    assert set(metrics["baselines"]) == {"untrained", "colour histogram", "chance"}
    page = out.read("report.html").decode()
    assert metrics["model"]["fingerprint"] in page and page.count("data:image/jpeg") > 20
    assert metrics["model"]["fingerprint"] == best_checkpoint(run[0], "recall@1").fingerprint


def test_evaluating_again_embeds_nothing_and_says_the_same(metrics, run, table, s3):
    def shards():
        prefix = f"{run[0].path.removeprefix('shop/')}/evaluation/embeddings"
        found = s3.list_objects_v2(Bucket="shop", Prefix=prefix)["Contents"]
        return {o["Key"]: o["LastModified"] for o in found if o["Key"].endswith(".parquet")}

    before = shards()
    again = evaluate_run(EvaluateSettings(data=table.store.uri, run=run[0].uri), table, run[0])
    assert shards() == before
    same = lambda m: {k: v for k, v in m.items() if k != "created"}  # noqa: E731
    assert same(again) == same(metrics)


def test_protocol_options_change_the_number_and_are_written_beside_it(metrics, run, table):
    from fashion.retrieval.settings import ProtocolSettings

    def evaluated(name, **options):
        settings = EvaluateSettings(
            data=table.store.uri, run=run[0].uri, out=f"{PLACE}/out?{name}=é", protocol=ProtocolSettings(**options)
        )
        return evaluate_run(settings, table, run[0])

    wide = evaluated("wide", gallery_splits=("val", "test"))
    assert wide["gallery"] > metrics["gallery"] and wide["recall"]["1"] <= metrics["recall"]["1"]
    assert wide["protocol"]["gallery_splits"] == ["val", "test"]
    for name, options in {
        "item": {"ranking": "item"},
        "centroid": {"ranking": "centroid"},
        "pair": {"positives": "pair"},
    }.items():
        found = evaluated(name, **options)
        assert {**found["protocol"], **options} == found["protocol"]
        assert found["queries"] == metrics["queries"]
    assert evaluated("item", ranking="item")["recall"]["50"] >= metrics["recall"]["50"]


def test_the_gate_shuts_on_a_worse_evaluation_after_its_results_are_written(metrics, run, table):
    """Against an earlier evaluation that was always right; against itself; and against one of other queries."""
    written = run[0] / "evaluation"
    queries = written.read_table("queries.parquet")
    rank = queries.column_names.index("rank")
    flawless = queries.set_column(rank, "rank", pa.array([1] * len(queries), pa.int64()))
    strangers = queries.set_column(0, "image", pa.array([f"?{i}" for i in range(len(queries))]))
    for name, held in {"flawless": flawless, "strangers": strangers}.items():
        accepted = Store(f"s3://shop/accepted/{name}")
        accepted.write_table("queries.parquet", held)
        accepted.write_json("metrics.json", metrics)

    out = Store("s3://shop/out/gate")

    def status(against):
        places = {"data": table.store.uri, "run": run[0].uri, "out": out.uri, "history": "s3://shop/history"}
        return job(EvaluateSettings(**places, against=against, baselines=False))

    with pytest.raises(InputError, match=r"against: .*evaluate that run first"):
        status("s3://shop/nothing")
    assert not out.names(recursive=True)  # said before anything is done
    assert status("s3://shop/accepted/flawless/metrics.json") == 3
    assert out.read_json("metrics.json")["comparison"]["verdict"] == "worse"
    assert "Worse: recall@1 fell by" in out.read("report.html").decode()
    assert status(run[0].uri) == 0
    with pytest.raises(InputError, match=r"none of its .* queries is among the"):
        status("s3://shop/accepted/strangers")
    assert "comparison" not in out.read_json("metrics.json")  # written all the same
    (row,) = read_history(Store("s3://shop/history"))  # one model, data and protocol: one row, with the last verdict
    assert row["verdict"] == "no difference" and row["recall@1"] == metrics["recall"]["1"]


def test_too_few_cpus_are_an_error_and_not_a_hang():
    with pytest.raises(InputError, match="need 5 CPUs, the cluster has 4"):
        decide_resources(ResourceSettings(workers=4, feed_actors=1), cpus=4, gpus=0, cores=4)
    with pytest.raises(InputError, match="2 workers with a GPU each, the cluster has 1 GPUs"):
        decide_resources(ResourceSettings(workers=2, gpu=True), cpus=8, gpus=1, cores=8)
    found = decide_resources(ResourceSettings(workers=2), cpus=64, gpus=2, cores=64)
    assert isinstance(found, Resources) and found.gpu and found.feed_actors == 16


def test_a_missing_table_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match=r"no manifest\.json there.*jobs/prepare\.py"):
        _ = ItemTable(Store(tmp_path)).manifest

"""A training that dies within an epoch: killed, it goes on from its newest checkpoint to the same weights; stopped, it
leaves one of where it was."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from fashion.data.table import ItemTable
from fashion.errors import RunLost
from fashion.networks.files import fingerprint
from fashion.networks.settings import NetworkSettings
from fashion.storage import Store
from fashion.training.checkpoint import checkpoints
from fashion.training.driver import fit
from fashion.training.events import StepDone
from fashion.training.job import plan_job
from fashion.training.settings import BatchSettings, CheckpointSettings, ResourceSettings, TrainSettings
from fashion.training.step_checkpoints import STEPS, step_checkpoints
from tests.catalogues import make_table, photos
from tests.processes import descendants
from tests.training import running

ROOT = Path(__file__).resolve().parents[2]
LOST = 4  # steps, at most
SETTINGS = TrainSettings(
    epochs=3,
    precision="float32",
    batch=BatchSettings(items=16, crop="whole"),
    network=NetworkSettings(name="embnet", size=96, width=0.5, dimension=16, pretrained=None),
    loss=replace(TrainSettings().loss, memory=64),
    checkpoint=CheckpointSettings(steps=LOST, minutes=0),
    resources=ResourceSettings(worker_cpus=0.5, feed_cpus=0.5, feed_actors=1, threads=1, max_failures=4),
)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Twelve steps an epoch."""
    splits = ("train", "train", "train", "val")
    store = Store(tmp_path_factory.mktemp("killed"))
    made = make_table(store, photos(256, splits=splits)).manifest
    store.write_value("manifest.json", replace(made, domains=["consumer", "shop"]))
    return ItemTable(store)


def process(title: str) -> psutil.Process:
    """One of this run: the youngest, for those of earlier tests' runs may not have ended yet."""
    found = [child for child, command in descendants().items() if f"ray::{title}" in command]
    assert found, f"no {title} is running"
    return max(found, key=lambda child: child.create_time())


def kill_feed_actor():
    """As soon as one works: it may be done with all before the first step is told of, and then it leaves."""
    while True:
        for child, command in descendants().items():
            if "ray::MapWorker(MapBatches(FeedActor)).submit" in command:
                child.kill()
                return
        time.sleep(0.02)


def test_what_is_killed_or_stopped_costs_few_steps_and_no_bit_of_the_weights(ray_running, table, tmp_path):
    """Of a run whose board was killed too, so that the same command was given again: a feed actor, whose work another does
    again; a worker; the coordinator of the feed, which ends the workers too; a worker that stands still for a while."""
    run, seen = Store(tmp_path / "run"), []
    job = plan_job(SETTINGS, table, run)
    boards = ["Board"]

    def kill_board(event):
        if isinstance(event, StepDone):
            seen.append(event.epoch * job.plan.steps + event.step)
            if boards:
                process(boards.pop()).kill()

    with pytest.raises(RunLost, match="was killed; the same command goes on from here"):
        fit(job, kill_board)
    told = len(seen)  # the workers may have gone further: what they did after it, nobody was left to hear
    feed_killed = threading.Thread(target=kill_feed_actor, daemon=True)
    feed_killed.start()
    hits = [(14, "RayTrainWorker"), (20, "SplitCoordinator"), (30, "stopped")]

    def show(event):
        if not isinstance(event, StepDone):
            return
        seen.append(event.epoch * job.plan.steps + event.step)
        if hits and seen[-1] >= hits[0][0]:
            _, title = hits.pop(0)
            if title != "stopped":
                process(title).kill()
                return
            worker = process("RayTrainWorker")
            worker.suspend()
            time.sleep(3)
            worker.resume()

    fit(job, show)
    assert not hits and not feed_killed.is_alive()
    assert seen[told] > seen[told - 1] - LOST, seen
    lost = [one + 1 - other for one, other in pairwise(seen[told:]) if other != one + 1]
    assert len(lost) <= 2 and all(0 < steps <= LOST for steps in lost), seen
    whole = running.unbroken(job)
    newest = checkpoints(run)[-1]
    assert running.numbers(newest.history) == running.numbers(whole.history)
    assert newest.fingerprint == fingerprint(whole.kept)
    assert not run.names(STEPS, recursive=True)  # nothing goes on from there any more


def test_a_stopped_job_leaves_a_checkpoint_of_where_it_was(table, tmp_path):
    run = Store(tmp_path / "run")
    command = [
        sys.executable,
        str(ROOT / "jobs/train.py"),
        "--data",
        table.store.uri,
        "--run",
        run.uri,
        "--epochs",
        "500",
    ]
    command += ["--network.name", "embnet", "--network.pretrained", "null", "--network.size", "64"]
    command += ["--validation.every", "1", "--batch.items", "16"]
    started = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not run.exists("history.json") and started.poll() is None:
        time.sleep(0.05)
    time.sleep(1)
    started.send_signal(signal.SIGTERM)
    _, said = started.communicate(timeout=120)
    assert (started.returncode, said) == (143, "\nstopped; the same command goes on from here\n")
    (found,) = step_checkpoints(run)  # none was due
    assert found.epoch * 12 + found.steps > 12 * (checkpoints(run)[-1].epoch + 1)

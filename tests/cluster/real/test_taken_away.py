"""Machines that are lost, or short of memory, while a training needs them."""

import re
import subprocess
import sys
import threading
from urllib.parse import quote

import pytest

from fashion.data.neighbours import file_of
from fashion.networks.files import fingerprint
from fashion.pipelines.train import TrainJobSettings
from fashion.storage import Store
from fashion.training.checkpoint import checkpoints
from fashion.training.job import plan_job
from jobs.cli import parse
from tests.cluster.loopback import HEAD_CPUS, ROOT, WAIT_S
from tests.training import running

LARGE = HEAD_CPUS + 1  # CPUs of a node that alone has room for a worker of as many
SETTINGS = (
    "--epochs 3 --batch.items 16 --precision float32 --network.name embnet --network.size 32 "
    "--network.width 0.25 --network.dimension 16 --mining.every 1 --mining.last_rank 8 --resources.feed_actors 1 "
    "--resources.threads 1 --resources.feed_cpus 1"
)


@pytest.fixture
def nodes(cluster):
    """The cluster with its head alone, and so again in the end."""
    while len(cluster.nodes) > 1:
        cluster.take_away()
    yield cluster
    while len(cluster.nodes) > 1:
        cluster.take_away()


def arguments(table, run, cpus):
    return ["--data", table.store.uri, "--run", run.uri, *SETTINGS.split(), "--resources.worker_cpus", str(cpus)]


def train(nodes, *given):
    """On the head, of whose Ray it is a driver like those of `ray job submit`."""
    env = nodes.env | {"RAY_ADDRESS": f"127.0.0.1:{nodes.port}"}
    command = [sys.executable, "jobs/train.py", *given]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_node_that_is_lost_while_neighbours_are_found_costs_no_bit(nodes, table, s3_proxy, ray_running, tmp_path):
    """Just when they are written, by the only worker: what is there then is of work that no checkpoint holds."""
    run, lost = Store("s3://loopback/mined"), threading.Event()
    nodes.add(LARGE)

    def take_away(handler):
        answer = handler.forward()
        nodes.take_away()
        lost.set()
        handler.answer(answer)

    with s3_proxy.faulty(take_away, rf"POST /loopback/mined/{quote(file_of(1))}\?uploadId", times=1):
        job = train(nodes, *arguments(table, run, LARGE))
        while not lost.wait(0.1):
            assert job.poll() is None, job.communicate()
    assert run.exists(file_of(1)) and not checkpoints(run)
    nodes.add(LARGE)
    said, _ = job.communicate(timeout=WAIT_S)
    assert job.returncode == 0, said

    settings = parse(TrainJobSettings, arguments(table, run, 0.5)).train
    planned = plan_job(settings, table, Store(tmp_path / "whole"))
    whole, newest = running.unbroken(planned), checkpoints(run)[-1]
    assert running.numbers(newest.history) == running.numbers(whole.history)
    assert newest.fingerprint == fingerprint(whole.kept)
    for epoch in (1, 2):
        assert run.read(file_of(epoch)) == planned.run.read(file_of(epoch))


def test_a_training_whose_feed_is_on_a_node_without_memory_says_so_in_a_line_and_ends(nodes, table):
    """The worker takes all CPUs of the head; on the other node, Ray ends whatever begins."""
    nodes.add(RAY_memory_usage_threshold="0.01", RAY_memory_monitor_refresh_ms="250")
    job = train(nodes, *arguments(table, Store("s3://loopback/starved"), HEAD_CPUS))
    said, _ = job.communicate(timeout=WAIT_S)
    line = r"[\d.]+ ran out of memory \(.* GB in use\), so Ray ended processes there; give Ray fewer of its CPUs"
    assert job.returncode == 1 and "Traceback" not in said, said
    assert re.search(rf"^failed: {line}.*; the same command goes on from here$", said, re.MULTILINE), said

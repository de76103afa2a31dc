"""Jobs sent to a real cluster of two nodes on this machine, from and to an S3 endpoint: prepared, trained, stopped, and
resumed when one of the nodes is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.submit import entrypoint
from fashion.storage import Store
from tests.cluster.loopback import ROOT, WAIT_S

EPOCHS = 10
SETTINGS = (
    "--epochs", str(EPOCHS), "--batch.items", "16",
    "--network.name", "embnet", "--network.size", "64", "--network.width", "0.25",
    "--resources.workers", "2", "--resources.min_workers", "1", "--resources.worker_cpus", "3",
    "--resources.feed_actors", "1", "--resources.threads", "1",
)  # fmt: skip
TRAIN = ("python", "jobs/train.py", "--data", "s3://loopback/table", "--run", "s3://loopback/run", *SETTINGS)


def test_without_the_token_nobody_gets_in(cluster):
    import urllib.error
    import urllib.request

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{cluster.address}/api/jobs/")
    assert refused.value.code in (401, 403)


def test_stopped_training_is_resumed_by_the_same_command_on_the_node_that_is_left(cluster, table):
    run = Store("s3://loopback/run")
    assert cluster.submit("first", *TRAIN, wait=False).returncode == 0
    cluster.wait(lambda: run.exists("history.json") or cluster.job("first")["status"] == "FAILED", "first epoch")
    state = cluster.state()  # while all of it runs
    cluster.stop("first")
    assert cluster.job("first")["status"] == "STOPPED", cluster.logs("first")
    before = run.read_json("history.json")
    assert 1 <= len(before) < EPOCHS
    assert any("RayTrainWorker" in said for said in state.values())
    assert not [what for what, said in state.items() if "CANARY" in said]
    log = cluster.logs("first")
    assert f"epoch   1/{EPOCHS}" in log and "2 CPU workers" in log
    assert "stopped; the same command goes on from here" in log and "Traceback" not in log

    cluster.take_away()
    again = cluster.submit("second", *TRAIN)
    assert again.returncode == 0, again.stdout + again.stderr
    history = run.read_json("history.json")
    assert [row["epoch"] for row in history] == list(range(EPOCHS))
    kept = len(before) - 1  # the last one may have been stopped before its checkpoint counted
    assert history[:kept] == before[:kept]
    assert {row["images"] for row in history} == {before[0]["images"]}
    log = cluster.logs("second")
    assert kept == 0 or f"epoch   1/{EPOCHS}" not in log
    assert f"epoch  {EPOCHS}/{EPOCHS}" in log and "best epoch" in log
    assert "\r" not in log and "Traceback" not in log and "WARNING" not in log
    assert run.names("tensorboard")


def test_no_key_is_in_what_ray_writes_down(cluster, table):
    """Logs, and what a session keeps of its jobs beside the code, of which this file is a part."""
    files = [
        path for path in Path(cluster.folder).rglob("*") if path.is_file() and "working_dir_files" not in path.parts
    ]
    assert len(files) > 50
    secrets = (b"CANARYSECRET", b"CANARYTOKEN", cluster.env["RAY_AUTH_TOKEN"].encode())
    assert not [path for path in files if any(secret in path.read_bytes() for secret in secrets)]


def test_the_exit_status_is_the_jobs_own(cluster):
    command = ["python", "jobs/reevaluate.py", "--run", "s3://loopback/nothing", "--data", "s3://loopback/table"]
    command += ["--baseline", "s3://loopback/baseline"]
    submit = [sys.executable, "cluster/submit.py", "--address", cluster.address, "--working-dir", ".", "--", *command]
    done = subprocess.run(submit, cwd=ROOT, env=cluster.env, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "error: baseline: nothing is accepted in s3://loopback/baseline" in done.stdout


def test_a_relative_folder_for_results_is_refused_in_a_job(cluster):
    """The job's working folder is a temporary copy."""
    done = cluster.submit(
        "relative", "python", "jobs/prepare.py", "--source", "s3://loopback/source", "--out", "a table"
    )
    assert done.returncode == 1 and cluster.job("relative")["driver_exit_code"] == 2
    assert "error: out: a table is relative, and the working folder of a job" in cluster.logs("relative")


def test_a_command_reaches_the_clusters_shell_as_it_was_written():
    words = ["python", "jobs/train.py", "--run", "s3://a b/c", "--space", '{"x": [1]}']
    line = entrypoint(words)
    said = subprocess.run(f"printf '%s\\n' {line}", shell=True, capture_output=True, text=True, env=os.environ)
    assert said.stdout.splitlines() == words
    assert entrypoint(["python a.py | tee log"]) == "python a.py | tee log"

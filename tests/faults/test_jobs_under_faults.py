"""Jobs, whole or their parts, while storage fails under them."""

import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from fashion.data.prepare.pack import ShardPacker
from fashion.data.prepare.run import prepare
from fashion.data.schema import items_file
from fashion.data.settings import TableSettings
from fashion.errors import InputError
from fashion.storage import Store
from fashion.training.checkpoint import checkpoints
from jobs.cli import main
from tests.catalogues import jpeg, make_table, photos, picture
from tests.faults.proxy import status, unseen

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = TableSettings(benchmark="manifest", shard_images=20, holdout=0.2)
CANARY = {"AWS_ACCESS_KEY_ID": "CANARYID", "AWS_SECRET_ACCESS_KEY": "CANARYSECRET", "AWS_SESSION_TOKEN": "CANARYTOKEN"}
SMALL = (
    "--network.name embnet --network.pretrained null --network.size 32 --network.width 0.25 --network.dimension 16 "
    "--batch.items 8 --batch.crop whole --epochs 2 --resources.max_failures 0"
)


@pytest.fixture
def shop(tmp_path):
    rows = ["image,item,domain"]
    for number in range(60):
        domain = ("shop", "consumer")[number % 2]
        Store(tmp_path / "shop").write(f"{number}.jpg", jpeg(picture(number)))
        rows.append(f"{number}.jpg,{number // 2},{domain}")
    Store(tmp_path / "shop").write("photos.csv", "\n".join(rows).encode())
    return Store(tmp_path / "shop")


@pytest.fixture
def short_folder():
    """A folder of a short path: Ray's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        yield folder


@pytest.fixture
def packed(shop, tmp_path, monkeypatch):
    """Prepares in this process; gives the names of the shards that were packed, and notes."""
    told = []

    def pack(work, source, out, settings, cpus):
        for shard, drop in work:
            told.append(shard.name)
            yield shard.name, ShardPacker(source, out, settings).pack(shard, drop)

    monkeypatch.setattr("fashion.data.prepare.run._packed", pack)

    def run(out=Store(tmp_path / "table")):  # noqa: B008
        told.clear()
        table = prepare(shop, out, SETTINGS, warn=told.append, progress=lambda *_: None)
        return table, list(told)

    return run


@pytest.mark.parametrize("what", ["items", "digests", "stats", "stats cut"])
def test_what_was_deleted_for_its_damage_is_made_anew(packed, what):
    table, first = packed()
    shard = table.shards("train")[0].name
    before = table.store.read(items_file(shard))
    file = {"items": items_file(shard), "digests": f"digests/{shard}.parquet"}.get(what, f"stats/{shard}.json")
    table.store.write(file, b"{") if what == "stats cut" else table.store.delete(file)
    again, told = packed()
    assert told == [shard] and len(first) > 3
    assert again.store.read(items_file(shard)) == before and again.fingerprint == table.fingerprint
    assert packed()[1] == []


def test_a_damaged_plan_is_made_anew(packed, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("injected")

    with monkeypatch.context() as patched:
        patched.setattr("fashion.data.prepare.run.finish", fail)
        with pytest.raises(OSError, match="injected"):
            packed()
    store = Store(tmp_path / "table")
    store.write("plan/plan.json", store.read("plan/plan.json")[:-100])
    table, told = packed()
    assert any("plan.json: is damaged" in line and "made anew" in line for line in told)
    assert table.manifest.counts["images"] == 60


def test_what_was_written_and_is_not_seen_at_once_costs_no_more_than_the_same_command(packed, s3, s3_proxy):
    """404 for half a second after each write, of a storage whose machines do not agree at once."""
    s3.create_bucket(Bucket="late")
    expected, table, tries = packed()[0].manifest, None, 0
    with s3_proxy.faulty(unseen(0.5), "/late/"):
        before = s3_proxy.unseen
        while table is None:
            tries += 1
            assert tries < 10
            with suppress(InputError, OSError):  # which a job says in a line
                made, _ = packed(Store("s3://late/table"))
                table = made.manifest
            time.sleep(0.6)
    assert s3_proxy.unseen > before
    assert (table.fingerprint, table.counts, table.shards) == (expected.fingerprint, expected.counts, expected.shards)


def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path):
    """A quota of the process, which writes more than it may."""
    script = f"""
import resource, sys
from dataclasses import dataclass
from fashion.storage import Store
from jobs.cli import main

@dataclass(frozen=True)
class Settings:
    '''None.'''

def job(settings):
    store = Store({str(tmp_path)!r})
    store.write("x", b"old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    store.write("x", bytes(5000))

main(Settings, job)
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and len(ended.stderr.splitlines()) == 1
    assert re.match(r"failed: .*File too large; once that is mended, the same command goes on from here$", ended.stderr)
    assert (tmp_path / "x").read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["x"]


def test_what_failed_is_told_by_what_it_came_of(ray_running, capsys, monkeypatch):
    """Storage, and bad input, in a task of Ray Data's: its own text is a hundred lines, of which the last is advice."""
    from dataclasses import make_dataclass

    from fashion.data.prepare.tasks import run_streamed, run_tasks
    from jobs import signals

    for name in ("end_on_signals", "hold"):
        monkeypatch.setattr(signals, name, lambda *_: None)

    def task(what):
        if what == "storage":
            raise OSError("When reading: AWS Error ACCESS_DENIED during HeadObject")
        raise InputError("items/x.parquet: is damaged")

    cases = (
        (
            "storage",
            1,
            "failed: When reading: AWS Error ACCESS_DENIED during HeadObject; once that is mended, the same",
        ),
        ("input", 2, "error: items/x.parquet: is damaged"),
    )
    for tasks, (what, ended, said) in product((run_tasks, run_streamed), cases):
        with pytest.raises(SystemExit) as found:
            main(
                make_dataclass("Settings", []),
                lambda _, tasks=tasks, what=what: list(tasks(task, [what], task_cpus=1.0)),
                [],
            )
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("failed", "error"))]
        assert found.value.code == ended and len(lines) == 1 and lines[0].startswith(said)


def test_no_key_is_in_what_a_failed_training_leaves(s3, s3_proxy, tmp_path, short_folder):
    """The second checkpoint may not be written. Then the same command goes on from the first."""
    bucket = f"canary-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    table = make_table(Store(f"s3://{bucket}/table"), photos(40, splits=("train", "train", "train", "val")))
    table.store.write_value("manifest.json", replace(table.manifest, domains=["consumer", "shop"]))
    run = Store(f"s3://{bucket}/run")
    settings = ["--data", f"s3://{bucket}/table", "--run", run.uri, *SMALL.split()]
    command = [sys.executable, str(ROOT / "jobs/train.py"), *settings]
    env = os.environ | CANARY | {"PYTHONPATH": str(ROOT), "RAY_TMPDIR": short_folder}
    how = {"cwd": tmp_path, "env": env, "capture_output": True, "text": True, "timeout": 300}
    with s3_proxy.faulty(status(403, "AccessDenied"), "^(PUT|POST) .*/run/checkpoint_epoch%3D0001/n") as fault:
        ended = subprocess.run([*command, "--debug"], **how)
    assert fault.hits and ended.returncode == 1, ended.stderr
    line = ended.stderr.splitlines()[-1]
    assert line.startswith("failed: ") and "AccessDenied" in line.replace("ACCESS_DENIED", "AccessDenied")
    left = [ended.stdout.encode(), ended.stderr.encode(), *map(run.read, run.names(recursive=True))]
    left += [path.read_bytes() for path in Path(short_folder).rglob("*") if path.is_file()]
    assert len(left) > 10 and not any(b"CANARYSECRET" in data or b"CANARYTOKEN" in data for data in left)
    assert [found.epoch for found in checkpoints(run)] == [0]
    again = subprocess.run(command, **how)
    assert again.returncode == 0 and "goes on after epoch 1 of 2" in again.stdout
    assert [found.epoch for found in checkpoints(run)] == [0, 1]

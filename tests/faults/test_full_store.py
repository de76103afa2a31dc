"""A training in a Ray whose object store is full of what others hold."""

import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fashion.storage import Store
from fashion.training.checkpoint import checkpoints
from tests.catalogues import make_table, photos

ROOT = Path(__file__).resolve().parents[2]
STORE = 80_000_000  # bytes; Ray takes no fewer
# Fills the store with so many objects of 10 MB, trains, and reads them again.
TRAIN = """
import sys
from cluster.start import ray_cluster
from fashion.pipelines.train import TrainJobSettings
from jobs.cli import main
from jobs.train import job

with ray_cluster() as ray:
    import numpy as np

    held = [ray.put(np.full(10_000_000, i, np.uint8)) for i in range(int(sys.argv[1]))]
    try:
        main(TrainJobSettings, job, sys.argv[2:])
    finally:
        assert all((ray.get(one) == i).all() for i, one in enumerate(held))
"""
SETTINGS = (
    "--epochs 2 --batch.items 16 --batch.crop whole --precision float32 --network.name embnet --network.size 160 "
    "--network.width 0.25 --network.dimension 16 --resources.threads 1 --resources.max_failures 0"
)


@pytest.fixture
def command(tmp_path):
    """Of 30 MB of decoded batches."""
    store = Store(tmp_path / "table")
    made = make_table(store, photos(128, splits=("train", "train", "train", "val"))).manifest
    store.write_value("manifest.json", replace(made, domains=["consumer", "shop"]))

    def run(held: int, spill: Path) -> subprocess.CompletedProcess:
        spill.mkdir(exist_ok=True)
        env = {"RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES": str(STORE), "RAY_object_spilling_directory": str(spill)}
        data = ["--data", store.uri, "--run", str(tmp_path / "run")]
        return subprocess.run(
            [sys.executable, "-c", TRAIN, str(held), *data, *SETTINGS.split()],
            cwd=tmp_path, env=os.environ | env | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    return run


def test_a_full_object_store_spills_and_the_training_runs_to_its_end(command, tmp_path):
    spilt, over = [0], threading.Event()

    def watch():
        while not over.wait(0.2):
            spilt.append(sum(file.stat().st_size for file in (tmp_path / "spill").rglob("*") if file.is_file()))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        ended = command(12, tmp_path / "spill")
    finally:
        over.set()
        watching.join()
    assert ended.returncode == 0 and "Traceback" not in ended.stderr, ended.stderr
    assert max(spilt) > 12 * 10_000_000 - STORE
    assert len(checkpoints(Store(tmp_path / "run"))) == 2


def test_a_full_object_store_and_a_full_disk_are_a_line_and_an_end(command, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", disk], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here, so no disk can be full")
    try:
        ended = command(6, disk)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr, ended.stderr
    line = r"failed: Ray's object store is full, and so is the disk that it spills to; .*\(all of it is in .*/failure\.txt\)"
    assert re.fullmatch(line, ended.stderr.strip().splitlines()[-1]), ended.stderr

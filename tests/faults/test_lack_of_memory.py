"""A machine that runs out of memory: a line, and an end."""

import os
import re
import subprocess
import sys
from pathlib import Path

import ray.exceptions

from fashion.causes import cause, short_of_memory
from tests.catalogues import jpeg, picture

ROOT = Path(__file__).resolve().parents[2]
LINE = r"ran out of memory \(\d+\.\d of \d+\.\d GB in use\), so Ray ended processes there; give Ray fewer of its CPUs"
PAGE = """3 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 10.0.0.7, ID: ad4ac1) was \
31.38GB used / 32.54GB limit (0.964)
OOM kill reason: Memory usage 4672770048B exceeded threshold
To disable worker killing, set the environment variable `RAY_memory_monitor_refresh_ms` to zero.
"""


def test_a_page_of_ray_is_a_line_however_deep_it_lies():
    line = short_of_memory(PAGE)
    assert line and line.startswith("10.0.0.7 ran out of memory (31.4 of 32.5 GB in use)") and "\n" not in line
    try:
        try:
            raise ray.exceptions.OutOfMemoryError(PAGE)
        except ray.exceptions.OutOfMemoryError as fault:
            raise RuntimeError("a block could not be made") from fault
    except RuntimeError as fault:
        first = cause(fault)
    assert isinstance(first, MemoryError) and str(first) == line
    assert short_of_memory("low on memory, says somebody else") is None


def test_a_job_on_a_machine_without_memory_says_so_in_a_line_and_ends(tmp_path):
    """Ray is told that a twentieth of the memory is all there is, so it ends whatever begins."""
    shop = tmp_path / "shop"
    shop.mkdir()
    rows = ["image,item,domain"]
    for n in range(12):
        (shop / f"{n}.jpg").write_bytes(jpeg(picture(n)))
        rows.append(f"{n}.jpg,item {n // 2},{('shop', 'consumer')[n % 2]}")
    (shop / "photos.csv").write_text("\n".join(rows))
    command = [sys.executable, ROOT / "jobs/prepare.py", "--benchmark", "manifest", "--source", shop]
    scarce = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "100", "RAY_task_oom_retries": "1"}
    ended = subprocess.run(
        [*command, "--out", tmp_path / "table"],
        cwd=tmp_path, env=os.environ | scarce | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert ended.returncode == 1
    *notes, last = ended.stderr.strip().splitlines()
    assert re.search(r"^failed: [\d.]+ " + LINE, last), ended.stderr
    assert len([note for note in notes if "ran out of memory" in note]) <= 2
    assert "raylet" not in ended.stdout + ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "table/manifest.json").exists()

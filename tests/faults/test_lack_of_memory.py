"""A machine that runs out of memory: a line, and an end."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray.exceptions

from fashion.causes import cause, short_of_memory
from fashion.errors import RunLost
from fashion.ray_seam import memory, short
from fashion.ray_seam.memory import TRIES
from fashion.storage import Store
from tests.catalogues import jpeg, make_run, make_table, photos, picture

ROOT = Path(__file__).resolve().parents[2]
SCARCE = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "250", "RAY_task_oom_retries": "1"}
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


def test_tasks_on_a_machine_without_memory_are_a_line_and_an_end(tmp_path):
    shop = tmp_path / "shop"
    shop.mkdir()
    rows = ["image,item,domain"]
    for n in range(12):
        (shop / f"{n}.jpg").write_bytes(jpeg(picture(n)))
        rows.append(f"{n}.jpg,item {n // 2},{('shop', 'consumer')[n % 2]}")
    (shop / "photos.csv").write_text("\n".join(rows))
    ends_in_a_line(["prepare", "--benchmark", "manifest", "--source", shop, "--out", tmp_path / "table"], tmp_path)
    assert not (tmp_path / "table/manifest.json").exists()


def test_actors_on_a_machine_without_memory_are_a_line_and_an_end(tmp_path):
    """Ray starts them anew for ever; and the one that Ray Data's executor asks where they are."""
    make_run(tmp_path / "run")
    table = make_table(Store(tmp_path / "table"), photos(6))
    ends_in_a_line(["embed", "--data", table.store.uri, "--run", tmp_path / "run", "--out", tmp_path / "out"], tmp_path)
    assert not (tmp_path / "out/_manifest.json").exists()


def ends_in_a_line(job: list, folder: Path) -> None:
    """Ray is told that a hundredth of the memory is all there is, so it ends whatever begins. On a machine with much else to
    do its core may end the job first, without a word, while Ray starts: such a try tells nothing, and there is another."""
    for _ in range(3):
        ended = subprocess.run(
            [sys.executable, ROOT / f"jobs/{job[0]}.py", *job[1:]],
            cwd=folder, env=os.environ | SCARCE | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert ended.returncode == 1
        if ended.stderr:
            break
    assert re.search(r"^failed: [\d.]+ " + LINE, ended.stderr.strip().splitlines()[-1]), ended.stderr
    notes = [line for line in (ended.stdout + ended.stderr).splitlines() if re.search("^note: .*" + LINE, line)]
    assert len(notes) <= 2, notes  # one a minute; none where the end comes at once
    assert "raylet" not in ended.stdout + ended.stderr and "Traceback" not in ended.stderr


def test_what_an_executor_tells_is_a_line_of_the_drivers(ray_running, monkeypatch):
    said = []
    monkeypatch.setattr(memory.log, "warning", said.append)
    short.tell(PAGE)
    ends = time.monotonic() + 60
    while not said and time.monotonic() < ends:
        time.sleep(0.05)
    assert said == [f"note: {short_of_memory(PAGE)}; what they did is tried again, up to {memory.RETRIES} times"]


def test_what_is_done_in_between_or_another_end_is_no_reason_to_give_up(monkeypatch):
    said: list[str] = []  # of the ends of an actor's processes
    told: list[str] = []
    monkeypatch.setattr(short, "ends", lambda actor: dict(enumerate(said)))
    monkeypatch.setattr(short, "tell", told.append)
    monkeypatch.setenv(TRIES, "2")
    watch = short.ShortOfMemory()
    for made in range(9):
        said += [PAGE, "The node has been marked dead", PAGE]
        watch.look("actor", made)
    assert len(told) == 18  # each once
    said += [PAGE]
    with pytest.raises(RunLost, match=r"^10\.0\.0\.7 ran out of memory .*; the same command goes on from here$"):
        watch.look("actor", 8)
    monkeypatch.setenv(TRIES, "-1")  # as Ray has it: for ever
    said += 50 * [PAGE]
    watch.look("actor", 8)

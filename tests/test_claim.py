"""One job at a time writes to a folder."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from fashion import claim
from fashion.claim import CLAIM, sole_writer
from fashion.errors import InputError
from fashion.storage import Store

HOLD = """
import sys, time
sys.path.insert(0, sys.argv[2])
from fashion.claim import sole_writer
from fashion.storage import Store
from jobs.signals import end_on_signals
end_on_signals()
with sole_writer(Store(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """A process that holds `tmp_path`."""
    root = str(Path(__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), root], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def enter(folder):
    with sole_writer(Store(folder)):
        assert json.loads((folder / CLAIM).read_text())["pid"] == os.getpid()


def elsewhere(folder):
    """A claim of another machine, whose clock is an hour behind."""
    held = {"id": "1", "host": "far", "place": "far 1", "pid": 7, "begun": "8", "since": "2026-11-28T00:00:00Z"}
    Store(folder).write_json(CLAIM, held)


def test_the_second_is_refused_by_the_name_of_the_first_which_may_die_or_end(other, tmp_path):
    since = json.loads((tmp_path / CLAIM).read_text())["since"]
    told = f"another job writes there: process {other.pid} on .*, since {since}; wait for its end"
    with pytest.raises(InputError, match=told):
        enter(tmp_path)
    assert (tmp_path / CLAIM).exists()
    other.kill()
    other.wait()
    assert (tmp_path / CLAIM).exists()
    enter(tmp_path)  # at once
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_frees_the_folder(other, tmp_path, number):
    other.send_signal(number)
    other.wait(60)
    assert not list(tmp_path.iterdir())


def test_a_number_that_another_process_has_by_now_is_no_claim(tmp_path):
    with sole_writer(Store(tmp_path)):
        held = json.loads((tmp_path / CLAIM).read_text())
    Store(tmp_path).write_json(CLAIM, held | {"begun": "1"})
    enter(tmp_path)


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_a_machine_far_away_is_dead_once_it_has_not_renewed_its_claim(tmp_path, monkeypatch, hours):
    monkeypatch.setattr(claim, "STALE_S", 0.5)
    monkeypatch.setattr(claim, "LOOK_S", 0.05)
    modified = claim._modified
    shifted = lambda store, name: (at := modified(store, name)) and at + timedelta(hours=hours)  # noqa: E731
    monkeypatch.setattr(claim, "_modified", shifted)
    elsewhere(tmp_path)
    began = time.monotonic()
    enter(tmp_path)
    assert time.monotonic() - began >= 0.4
    assert not list(tmp_path.iterdir())


def test_a_claim_that_is_old_already_is_not_waited_for(tmp_path, monkeypatch):
    elsewhere(tmp_path)
    long_ago = time.time() - 2 * claim.STALE_S
    os.utime(tmp_path / CLAIM, (long_ago, long_ago))
    asleep = lambda _: pytest.fail("waits")  # noqa: E731
    monkeypatch.setattr(claim, "time", SimpleNamespace(**vars(time) | {"sleep": asleep}))  # not of every thread
    enter(tmp_path)


def test_a_machine_far_away_that_renews_its_claim_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "LOOK_S", 0.05)
    elsewhere(tmp_path)
    threading.Timer(0.3, elsewhere, [tmp_path]).start()
    with pytest.raises(InputError, match="process 7 on far, since 2026-11-28T00:00:00Z"):
        enter(tmp_path)


def test_whoever_was_taken_over_ends(tmp_path, monkeypatch):
    """As after an hour of being stopped, or where two began in the same moment."""
    monkeypatch.setattr(claim, "LOOK_S", 0.05)
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a job that ended in this process has left its own
    try:
        with pytest.raises(InputError, match="process 7 on far"), sole_writer(Store(tmp_path)):
            elsewhere(tmp_path)
            time.sleep(60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert json.loads((tmp_path / CLAIM).read_text())["host"] == "far"


def test_a_claim_is_renewed_and_made_again_where_the_folder_was_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "LOOK_S", 0.02)
    monkeypatch.setattr(claim, "BEAT_S", 0.02)
    with sole_writer(Store(tmp_path)):
        (tmp_path / CLAIM).unlink()
        for _ in range(500):
            if (tmp_path / CLAIM).exists():
                break
            time.sleep(0.02)
        first = (tmp_path / CLAIM).stat().st_mtime_ns
        for _ in range(500):
            if (tmp_path / CLAIM).stat().st_mtime_ns != first:
                break
            time.sleep(0.02)
        assert (tmp_path / CLAIM).stat().st_mtime_ns != first
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_a_claim_cut_short_blocks_no_longer_than_a_dead_one(tmp_path, monkeypatch, text):
    monkeypatch.setattr(claim, "STALE_S", 0.2)
    monkeypatch.setattr(claim, "LOOK_S", 0.05)
    (tmp_path / CLAIM).write_text(text)
    enter(tmp_path)

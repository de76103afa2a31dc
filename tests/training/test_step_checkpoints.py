"""Checkpoints between those of the epochs: when one is due, where it lies, and who may take it for what."""

import hashlib
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from fashion.errors import InputError
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.ray_seam.registered import register
from fashion.storage import Store
from fashion.training.background import Background
from fashion.training.checkpoint import (
    CHECKPOINT,
    NETWORK,
    TRAINING,
    best_checkpoint,
    checkpoint_name,
    checkpoints,
    write_checkpoint,
)
from fashion.training.history import EpochRow
from fashion.training.mend import mend_run
from fashion.training.resume_point import resume_point
from fashion.training.settings import CheckpointSettings, TrainSettings
from fashion.training.step_checkpoints import step_checkpoints, write_step_checkpoint
from tests.catalogues import run_record

STEPS, EPOCHS = 10, 4
RUN = run_record({"epochs": 1, "seed": 0, "batch": {"crop": "whole"}})


@tried(max_examples=200, deadline=None)
@given(most=st.integers(2, 9), speeds=st.lists(st.integers(0, 30), min_size=1, max_size=20), until=st.integers(1, 60))
def test_at_no_moment_are_more_steps_lost_than_may_be(most, speeds, until):
    """In a time of its own: a write takes as long as `speeds` say, in steps."""
    now, writes, written = 0, [], 0  # writes: (step, time when it is done)

    class Timed(Background):
        def wait(self):
            nonlocal now
            if writes:
                now = max(now, writes[-1][1])

    def start(step):
        writes.append((step, now + speeds[len(writes) % len(speeds)]))
        return step

    background = Timed(CheckpointSettings(steps=most, minutes=0), lambda step: None, pytest.fail)
    for step in range(1, until + 1):
        now += 1
        # Until the training has gone on from here, it may be killed at any moment up to the end of the waiting.
        background.step(lambda step=step: start(step))
        written = max([s for s, done in writes if done < now], default=0)
        assert step - written <= most


def test_minutes_count_by_the_clock_and_an_epochs_checkpoint_begins_anew():
    now, found = [0.0], []
    background = Background(CheckpointSettings(minutes=10), found.append, pytest.fail, clock=lambda: now[0])
    for minute in range(1, 13):
        now[0] = 60.0 * minute
        background.step(lambda minute=minute: minute)
        background.wait()
        if minute == 4:
            background.write(lambda: "epoch", found.append)
    assert found == ["epoch", 9]  # five minutes after the epoch's
    off = Background(CheckpointSettings(minutes=0), found.append, pytest.fail, clock=lambda: now[0])
    now[0] = 1e9
    off.step(lambda: 0)
    off.wait()
    assert found == ["epoch", 9]
    off.step(lambda: 1, asked=True)
    off.wait()
    assert found == ["epoch", 9, 1]


def test_training_goes_on_while_one_is_written_and_after_it_has_failed():
    written, faults, go_on = [], [], threading.Event()

    def write(content):
        assert go_on.wait(30)
        if content == 0:
            raise OSError("disk full")
        written.append(content)

    background = Background(CheckpointSettings(steps=4), write, faults.append)
    for step in range(3):  # returns, though nothing can be written
        background.step(lambda step=step: step // 2)
    go_on.set()
    for step in range(3, 7):
        background.step(lambda step=step: step)
    background.wait()
    assert [str(fault) for fault in faults] == ["disk full"] and written == [3, 5]


def test_what_an_epochs_checkpoint_fails_of_ends_the_training():
    """At its next step, before anything else is written, or at its end."""

    def write(content):
        raise OSError(f"{content}: disk full")

    for then in (lambda b: b.step(pytest.fail), lambda b: b.write(pytest.fail, pytest.fail), Background.wait):
        background = Background(CheckpointSettings(steps=4), pytest.fail, pytest.fail)
        background.write(lambda: "epoch", write)
        background.thread.join()
        with pytest.raises(OSError, match="epoch: disk full"):
            then(background)


def test_one_step_is_refused():
    with pytest.raises(InputError, match=r"^checkpoint\.steps: found 1, expected 0 \(off\) or at least 2$"):
        CheckpointSettings(steps=1)
    assert "checkpoint" not in TrainSettings(checkpoint=CheckpointSettings(steps=5)).identity()


@pytest.fixture(params=["local", "bucket"])
def run(request, tmp_path):
    """Epoch 0 and 1 are done."""
    if request.param == "local":
        store = Store(tmp_path / "run")
    else:
        s3 = request.getfixturevalue("s3")
        s3.create_bucket(Bucket="steps")
        store = Store(f"s3://steps/{tmp_path.name}")
    network = build_network(NetworkSettings(name="embnet", width=0.125, dimension=8, size=32, pretrained=None), seed=1)

    def fill(folder, epoch, steps):
        within = {"steps": steps} if steps else None
        state = {"next_epoch": epoch, "tally": within, "place": torch.tensor([epoch, steps])}
        history = [EpochRow(epoch=e, recall={"1": 0.5}, queries=10) for e in range(epoch if within else epoch + 1)]
        write_checkpoint(str(folder), network, state, history=history, run=RUN)

    for epoch in range(2):
        folder = tmp_path / f"epoch {epoch}"
        folder.mkdir()
        fill(folder, epoch, 0)
        for name in (NETWORK, TRAINING, CHECKPOINT):
            store.write(f"{checkpoint_name(epoch)}/{name}", (folder / name).read_bytes())
    register(store, [(checkpoint_name(e), {"score": 0.5, "epoch": e}) for e in range(2)])
    write = lambda epoch, steps: write_step_checkpoint(store, lambda folder: fill(folder, epoch, steps))  # noqa: E731
    job = SimpleNamespace(
        run=store, plan=SimpleNamespace(steps=STEPS), settings=SimpleNamespace(length=EPOCHS), start=None
    )
    return SimpleNamespace(store=store, write=write, job=job, fill=fill)


def test_a_run_goes_on_from_within_its_first_epoch(run):
    other = run.store / "other"
    write_step_checkpoint(other, lambda folder: run.fill(folder, 0, 4))
    (found,) = step_checkpoints(other)
    assert (found.epoch, found.steps, found.history) == (0, 4, [])
    assert named(resume_point(SimpleNamespace(**vars(run.job) | {"run": other}))) == (4, "0")


def named(point):
    return point.step, point.checkpoint and point.checkpoint.uri.rsplit("/", 2)[-1]


def test_a_run_goes_on_from_the_newest_of_all(run):
    assert named(resume_point(run.job)) == (20, checkpoint_name(1))
    run.write(1, 4)
    assert named(resume_point(run.job)) == (20, checkpoint_name(1))  # older than the epoch's
    run.write(2, 3)
    assert named(resume_point(run.job)) == (23, "1")
    run.write(2, 6)
    assert named(resume_point(run.job)) == (26, "0")  # in the older one's place
    run.write(2, 9)
    assert named(resume_point(run.job)) == (29, "1")
    assert [(f.epoch, f.steps) for f in step_checkpoints(run.store)] == [(2, 6), (2, 9)]
    run.write(2, STEPS)  # all steps of the epoch, whose validation comes
    assert named(resume_point(run.job)) == (30, "0")
    short = SimpleNamespace(**vars(run.job) | {"settings": SimpleNamespace(length=3)})
    assert named(resume_point(short)) == (29, "1")  # the end of a run is a checkpoint of the epoch, or none


def test_none_is_taken_for_a_validated_epoch(run):
    run.write(2, 3)
    assert [found.name for found in checkpoints(run.store)] == [checkpoint_name(0), checkpoint_name(1)]
    assert best_checkpoint(run.store, "recall@1").name == checkpoint_name(1)
    assert mend_run(run.store, "recall@1") is None and len(step_checkpoints(run.store)) == 1


@pytest.mark.parametrize("how", ["cut", "gone", "flipped"])
@pytest.mark.parametrize("file", [NETWORK, TRAINING, CHECKPOINT])
def test_a_damaged_one_gives_way_to_the_one_before(run, file, how):
    run.write(2, 3)
    run.write(2, 5)
    name = f"steps/1/{file}"
    data = run.store.read(name)
    if how == "gone":
        run.store.delete(name)
    else:
        run.store.write(name, data[:-9] if how == "cut" else data[:90] + bytes([data[90] ^ 4]) + data[91:])
    assert named(resume_point(run.job)) == (23, "0")
    run.write(2, 7)  # takes the place of the damaged, or of the older one
    assert named(resume_point(run.job))[0] == 27


def test_the_checksums_of_earlier_versions_hold(run):
    run.write(2, 3)
    run.write(2, 5)
    newest = step_checkpoints(run.store)[-1]
    there = {name: newest.store.read(name) for name in (NETWORK, TRAINING)}
    digests = {name: hashlib.blake2b(data, digest_size=8).hexdigest() for name, data in there.items()}
    newest.store.write_value(CHECKPOINT, replace(newest.record, files=digests))
    assert named(resume_point(run.job)) == (25, "1")
    data = there[TRAINING]
    newest.store.write(TRAINING, data[:90] + bytes([data[90] ^ 4]) + data[91:])
    assert named(resume_point(run.job)) == (23, "0")


@pytest.mark.parametrize("written", range(4))
def test_a_kill_while_one_is_written_leaves_the_other(run, monkeypatch, written):
    run.write(2, 3)
    run.write(2, 5)
    write, names = Store.write, []
    whole = 2 if run.store.local else 3  # one of a local folder's files is torch's own writing

    def killed(store, name, *data):
        if "/steps/" in store.uri:
            if len(names) == written:
                raise KeyboardInterrupt
            names.append(name)
        write(store, name, *data)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", killed)
        try:
            run.write(2, 7)
        except KeyboardInterrupt:
            assert written < whole
    assert len(names) == min(written, whole)
    assert named(resume_point(run.job)) == ((27, "0") if written >= whole else (25, "1"))
    run.write(2, 8)
    assert named(resume_point(run.job))[0] == 28


def test_without_any_checkpoint_a_run_begins(tmp_path):
    job = {"run": Store(tmp_path), "plan": SimpleNamespace(steps=5), "settings": SimpleNamespace(length=1)}
    assert named(resume_point(SimpleNamespace(**job, start=None))) == (0, None)
    taken = Store(tmp_path / "start" / checkpoint_name(1))
    assert named(resume_point(SimpleNamespace(**job, start=taken))) == (10, checkpoint_name(1))

"""What trackers are told, read back from the files of TensorBoard, and from stand-ins for MLflow and Weights & Biases."""

import struct
import sys
from types import SimpleNamespace

import pytest

from fashion.errors import InputError
from fashion.storage import Store
from fashion.training.events import EpochDone, StepDone
from fashion.training.history import EpochRow
from fashion.training.tracking import Tracker, TrackingSettings

ABOUT = {"loss": {"name": "tuplet", "margin": 0.1}, "epochs": 2}


def rows(epochs=2, steps=40):
    for epoch in range(epochs):
        for step in range(steps):
            loss = None if step % 2 else 1.0 / (1 + epoch * steps + step)
            yield StepDone(epoch=epoch, step=step, loss=loss, wait_s=0.25, step_s=0.5, images=8)
        recall = {"1": 0.25 * (epoch + 1)}
        yield EpochDone(row=EpochRow(epoch=epoch, loss=0.5, images_per_s=100.0, recall=recall))


def read_events(store):
    """tag -> [(step, value)], by the published layout and a peer's protocol buffers and checksums."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    def held(size):
        nonlocal data
        (part, checked), data = struct.unpack(f"<{size}sI", data[: size + 4]), data[size + 4 :]
        assert checked == masked_crc32c(part)
        return part

    (name,) = store.names("tensorboard")
    data, events, found = store.read(name), [], {}
    while data:
        (length,) = struct.unpack("<Q", held(8))
        events.append(Event.FromString(held(length)))
    assert events[0].file_version == "brain.Event:2" and all(event.wall_time > 1e9 for event in events)
    for event in events:
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_tensorboard_files_hold_epochs_and_a_part_of_the_steps(tmp_path):
    run = Store(tmp_path / "run")
    with Tracker(TrackingSettings(), run, ABOUT, steps=40) as tracker:
        for row in rows():
            tracker(row)
            if isinstance(row, EpochDone):  # a run that is killed later has left this much
                assert len(read_events(run)["validation/recall_at_1"]) == row.epoch + 1
    found = read_events(run)
    assert found["validation/recall_at_1"] == [(40, 0.25), (80, 0.5)]
    assert found["epoch/images_per_s"] == [(40, 100.0), (80, 100.0)] and "epoch/advice" not in found
    assert [step for step, _ in found["step/wait_s"]] == list(range(2, 81, 2))  # POINTS of each epoch


def test_a_run_that_does_nothing_leaves_nothing(tmp_path):
    run = Store(tmp_path / "run")
    with Tracker(TrackingSettings(), run, ABOUT, steps=40):
        pass
    assert run.names(recursive=True) == []


@pytest.fixture
def peers(monkeypatch):
    """MLflow and Weights & Biases by the functions that we call, which note what they were told."""
    told = {"mlflow": [], "wandb": []}

    def note(tracker, name):
        return lambda *args, **more: told[tracker].append((name, args, more))

    names = ("set_experiment", "start_run", "log_params", "log_metrics", "end_run")
    mlflow = SimpleNamespace(**{name: note("mlflow", name) for name in names})
    run = SimpleNamespace(log=note("wandb", "log"), finish=note("wandb", "finish"))
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **more: told["wandb"].append(more) or run))
    return told


def test_mlflow_and_wandb_are_told_the_same(peers, tmp_path):
    settings = TrackingSettings(tensorboard=False, mlflow=True, wandb=True, project="shop")
    with Tracker(settings, Store(tmp_path / "first"), ABOUT, steps=40) as tracker:
        for row in rows(epochs=1):
            tracker(row)
    opened, params, *logged, closed = peers["mlflow"][1:]
    assert peers["mlflow"][0] == ("set_experiment", ("shop",), {}) and opened[2] == {"run_name": "first"}
    assert params[1] == ({"loss.name": "tuplet", "loss.margin": 0.1, "epochs": 2},)
    assert closed[0] == "end_run"
    begun, *noted, finished = peers["wandb"]
    assert begun == {"project": "shop", "name": "first", "config": ABOUT} and finished[0] == "finish"
    assert [(args, more["step"]) for _, args, more in logged] == [(args, more["step"]) for _, args, more in noted]
    assert logged[-1][1][0]["validation/recall_at_1"] == 0.25


def test_a_tracker_that_fails_is_dropped_and_the_others_go_on(peers, monkeypatch, tmp_path):
    def away(*args, **more):
        raise ConnectionError("the server\nis away")

    monkeypatch.setattr(sys.modules["mlflow"], "log_metrics", away)
    said = []
    run = Store(tmp_path / "run")
    with Tracker(TrackingSettings(mlflow=True), run, ABOUT, steps=40, warn=said.append) as tracker:
        for row in rows():
            tracker(row)
    assert said == ["note: tracking.mlflow failed and is left out from here: the server is away"]
    assert len(read_events(run)["validation/recall_at_1"]) == 2


def test_a_tracker_that_is_not_installed_is_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"^tracking\.wandb: wandb is not installed; pip install"):
        Tracker(TrackingSettings(wandb=True), Store(tmp_path), ABOUT, steps=1)

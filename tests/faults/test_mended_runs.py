"""A run of which something is damaged goes on from what is whole, and says so."""

import pytest
import torch
from ray.train import Result, TrainingFailedError

from fashion.errors import InputError
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.ray_seam.registered import SNAPSHOT, register, registered
from fashion.storage import Store
from fashion.training.checkpoint import (
    CHECKPOINT,
    NETWORK,
    TRAINING,
    best_checkpoint,
    checkpoint_name,
    checkpoints,
    write_checkpoint,
)
from fashion.training.driver import _told
from fashion.training.history import EpochRow
from fashion.training.mend import mend_run
from tests.catalogues import run_record

RECALLS = (0.5, 0.7, 0.6)


@pytest.fixture
def run(tmp_path):
    """Three checkpoints, as Ray Train leaves and remembers them."""
    network = build_network(NetworkSettings(name="embnet", width=0.125, dimension=8, size=32, pretrained=None), seed=1)
    begun = run_record({"epochs": 1, "seed": 0, "batch": {"crop": "whole"}})
    history = []
    for epoch, recall in enumerate(RECALLS):
        history.append(EpochRow(epoch=epoch, recall={"1": recall}, queries=100_000))
        (tmp_path / checkpoint_name(epoch)).mkdir()
        state = {"steps": torch.arange(10 + epoch)}
        write_checkpoint(str(tmp_path / checkpoint_name(epoch)), network, state, history=history, run=begun)
    register(Store(tmp_path), [(checkpoint_name(e), {"score": r, "epoch": e}) for e, r in enumerate(RECALLS)])
    return Store(tmp_path)


def spoil(run, name, how):
    data = run.read(name)
    if how == "gone":
        run.delete(name)
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
        run.write(name, {"empty": b"", "cut": data[:-9], "flipped": flipped}[how])


def newest(run):
    return Result.from_path(run.path, run.fs).checkpoint.path.rpartition("/")[2]


def test_a_whole_run_is_left_as_it_is(run, tmp_path):
    before = run.read(SNAPSHOT)
    assert mend_run(run, "recall@1") is None and run.read(SNAPSHOT) == before
    assert mend_run(Store(tmp_path / "not begun"), "recall@1") is None
    assert registered(run)[-1] == newest(run) == checkpoint_name(2)


@pytest.mark.parametrize("how", ["gone", "empty", "cut", "flipped"])
@pytest.mark.parametrize("file", [NETWORK, TRAINING, CHECKPOINT])
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(run, file, how):
    spoil(run, f"{checkpoint_name(2)}/{file}", how)
    told = mend_run(run, "recall@1")
    assert told.startswith(f"note: {checkpoint_name(2)}") and "is damaged" in told
    assert f"goes on from {checkpoint_name(1)}" in told
    assert newest(run) == checkpoint_name(1) == registered(run)[-1]
    assert [found.name for found in checkpoints(run)] == [checkpoint_name(0), checkpoint_name(1)]
    assert {c.path.rpartition("/")[2]: m["score"] for c, m in Result.from_path(run.path, run.fs).best_checkpoints} == {
        checkpoint_name(0): 0.5, checkpoint_name(1): 0.7,
    }  # fmt: skip
    assert mend_run(run, "recall@1") is None


@pytest.mark.parametrize("data", [b"", b"{}", b'{"ray_version": "2.', b"[]", None])
def test_a_damaged_list_of_checkpoints_is_made_anew(run, data):
    """Ray Train would try to start for ever; without the list (None), begin anew over the checkpoints."""
    if data is None:
        run.delete(SNAPSHOT)
    else:
        run.write(SNAPSHOT, data)
    spoil(run, f"{checkpoint_name(2)}/{TRAINING}", "flipped")
    assert f"goes on from {checkpoint_name(1)}" in mend_run(run, "recall@1") and newest(run) == checkpoint_name(1)


def test_a_run_without_a_whole_checkpoint_is_refused(run):
    for epoch in range(3):
        spoil(run, f"{checkpoint_name(epoch)}/{NETWORK}", "cut")
    with pytest.raises(InputError, match=r"network.safetensors of the run is damaged.*no other checkpoint is whole"):
        mend_run(run, "recall@1")
    with pytest.raises(InputError, match=r"network.safetensors of the run is damaged.*no other checkpoint is whole"):
        best_checkpoint(run, "recall@1")


def test_a_run_that_was_deleted_under_its_training_begins_anew(run):
    """What the training wrote afterwards is left, the list of its checkpoints too, of which Ray Train makes an error."""
    for found in checkpoints(run):
        run.delete_folder(found.name)
    run.write("steps/0/network.safetensors", b"of another run, perhaps")
    assert "was deleted while a training wrote there" in mend_run(run, "recall@1")
    assert registered(run) == [] and not run.names("steps", recursive=True)
    assert mend_run(run, "recall@1") is None
    with pytest.raises(InputError, match=r"run: .* was deleted while the training ran: its run.json is not there"):
        raise _told(TrainingFailedError("no such checkpoint"), run)
    run.write_json("run.json", {})
    assert isinstance(_told(TrainingFailedError("x"), run), RuntimeError)


def test_what_uses_a_run_takes_its_best_whole_network(run):
    notes = []
    assert best_checkpoint(run, "recall@1", notes.append).epoch == 1 and not notes
    spoil(run, f"{checkpoint_name(1)}/{NETWORK}", "flipped")
    assert best_checkpoint(run, "recall@1", notes.append).epoch == 2
    assert len(notes) == 1 and f"{checkpoint_name(1)}/network.safetensors of the run is damaged" in notes[0]
    spoil(run, f"{checkpoint_name(2)}/{NETWORK}", "gone")  # as where the job was killed while it was written
    assert best_checkpoint(run, "recall@1", notes.append).epoch == 0


def test_a_checkpoint_of_an_earlier_version_is_used(run):
    folder = run / checkpoint_name(2)
    folder.write_json(CHECKPOINT, {k: v for k, v in folder.read_json(CHECKPOINT).items() if k != "files"})
    assert mend_run(run, "recall@1") is None

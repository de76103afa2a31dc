"""The thread that shows a run's figures: what it is told, and that its death is the run's end."""

from types import SimpleNamespace

import pytest

from fashion.errors import InputError
from fashion.ray_seam.trainer import ControllerStarted
from fashion.training import board
from fashion.training.board import Watcher
from fashion.training.events import CheckpointRegistered, EpochDone, StepDone

STEP = StepDone(epoch=0, step=0, loss=1.0, wait_s=0.1, step_s=0.1, images=8)
EPOCH = EpochDone(row={"epoch": 0})


class Remote:
    """A method of an actor, called here and now."""

    def __init__(self, do):
        self.remote = do


@pytest.fixture
def pinned(monkeypatch):
    """Events to be taken, one lot at a time, without Ray."""
    lots: list[list] = []
    monkeypatch.setattr(board.ray, "get", lambda answer, timeout=None: answer)
    monkeypatch.setattr(board, "POLL_S", 0.001)
    return lots, SimpleNamespace(take=Remote(lambda: lots.pop(0) if lots else []))


def test_everything_is_shown_up_to_what_was_pinned_up_last(pinned):
    lots, where = pinned
    shown, saved = [], []
    with Watcher(where, shown.append, lambda epoch, score, end: saved.append((epoch, score))) as watcher:
        lots += [[STEP, ControllerStarted(controller="c")], [CheckpointRegistered(epoch=0, score=0.5)]]
        while lots:
            pass
        lots.append([EPOCH])
    assert shown == [STEP, EPOCH] and saved == [(0, 0.5)] and watcher.controller == "c"


@pytest.mark.parametrize(
    ("fault", "raised", "said"),
    [(ValueError("tags\nmust be ASCII"), RuntimeError, r"ended \(ValueError: tags must be ASCII\)"),
     (InputError("run: no room"), InputError, "^run: no room$")],
)  # fmt: skip
def test_a_watcher_that_dies_ends_the_run_with_its_reason(pinned, fault, raised, said):
    lots, where = pinned
    ended = []

    def show(event) -> None:
        raise fault

    controller = SimpleNamespace(abort=Remote(lambda: ended.append(True)))
    with pytest.raises(raised, match=said), Watcher(where, show, None) as watcher:
        lots += [[ControllerStarted(controller=controller)], [EPOCH]]
        watcher.join(timeout=30)
        assert ended == [True], "the run went on unseen"
        raise RuntimeError("the process that controls the training ended")


def test_an_interruption_stays_one(pinned):
    lots, where = pinned
    lots.append([EPOCH])
    with pytest.raises(KeyboardInterrupt), Watcher(where, lambda row: 1 / 0, None) as watcher:
        watcher.join(timeout=30)
        raise KeyboardInterrupt

"""The thread that shows a run's figures: what it is told, and that its death is the run's end."""

from types import SimpleNamespace

import pytest

from fashion.errors import InputError
from fashion.ray_seam.trainer import ControllerStarted
from fashion.training import board, reporter
from fashion.training.board import Board, Watcher
from fashion.training.events import CheckpointRegistered, EpochDone, StepDone
from fashion.training.history import EpochRow
from fashion.training.settings import TrainSettings

STEP = StepDone(epoch=0, step=0, loss=1.0, wait_s=0.1, step_s=0.1, images=8)
EPOCH = EpochDone(row=EpochRow(epoch=0))


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


def test_each_checkpoint_that_is_asked_for_is_written_once_however_late_it_is_answered(monkeypatch):
    """Steps are quicker than the write, and so is an epoch's end whose figures are pinned up in between."""
    board_of = Board.__ray_metadata__.modified_class()
    monkeypatch.setattr(reporter.ray, "get", lambda answer, timeout=None: answer)
    monkeypatch.setattr(reporter.ray, "wait", lambda answers, timeout=None: (answers, []))
    monkeypatch.setattr(reporter.Snapshot, "of", lambda trainer: trainer)
    job = SimpleNamespace(settings=TrainSettings(epochs=100), plan=SimpleNamespace(steps=2))
    told = reporter.Reporter(job, "trainer", SimpleNamespace(post=Remote(board_of.post)))
    begun = []
    told.background.between = lambda content: begun.append(content)

    def steps(number: int) -> int:
        for _ in range(number):
            told.step(STEP)
            told.post(EPOCH)
        told.background.wait()
        return len(begun)

    board_of.ask()  # nobody trains yet
    assert steps(3) == 0 and not board_of.is_awaited()
    board_of.ask()
    assert steps(5) == 1 and board_of.is_awaited()  # its answer is still on the way
    board_of.answer()
    assert steps(3) == 1 and not board_of.is_awaited()
    board_of.ask()
    board_of.ask()
    assert steps(3) == 2

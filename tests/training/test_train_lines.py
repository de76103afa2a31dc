"""What a training says at its end: what hard batches cost, or that they may help."""

from dataclasses import replace

import pytest

from fashion.data.mining import MiningSettings
from fashion.pipelines import log
from fashion.pipelines.train_lines import TrainLines
from fashion.training.events import EpochDone
from fashion.training.history import EpochRow
from fashion.training.settings import TrainSettings

SETTINGS = TrainSettings(epochs=2)
ROW = EpochRow(epoch=1, seconds=8.0, queries=300, recall={"1": 0.3, "5": 0.7, "20": 0.95})


def last_line(capsys, *rows: EpochRow, settings=SETTINGS, **options) -> str:
    log.show(debug=False)
    lines = TrainLines(None, 2, settings, **options)
    for row in rows:
        lines(EpochDone(row=row))
    return capsys.readouterr().out.splitlines()[-1]


def test_neighbours_are_shown_as_a_share_of_the_run(capsys):
    hard = replace(SETTINGS, mining=MiningSettings(every=1))
    rows = replace(ROW, epoch=0, mining_s=2.0, validation_s=1.0), replace(ROW, validation_s=1.0)
    assert last_line(capsys, *rows, settings=hard) == "finding neighbours took 10% of the training"


def test_hard_batches_are_named_where_look_alikes_stand_before_the_item(capsys):
    assert "--mining.every 2" in last_line(capsys, ROW)


@pytest.mark.parametrize(
    "row, options",
    [
        (replace(ROW, recall={"1": 0.58, "5": 0.7, "20": 0.95}), {}),
        (replace(ROW, recall={"1": 0.3, "5": 0.7, "20": 0.85}), {}),  # what stands first is no look-alike
        (replace(ROW, queries=199), {}),
        (replace(ROW, recall={"1": 0.3, "5": 0.7}), {}),
        (replace(ROW, recall=None, queries=None), {}),
        (replace(ROW, epoch=0), {}),  # the run goes on
        (ROW, {"by_item": False}),  # where it would be refused
        (ROW, {"settings": replace(SETTINGS, mining=MiningSettings(every=1, start=9))}),
    ],
)
def test_and_nowhere_else(capsys, row, options):
    assert last_line(capsys, row, **options).startswith("epoch ")

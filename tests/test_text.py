"""Names of items are neither a terminal's commands nor a spreadsheet's formulas."""

import logging

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

from fashion.pipelines import log
from fashion.pipelines.live import LiveTable
from fashion.storage import Store
from fashion.text import cell, printable
from fashion.tuning.leaderboard import LEADERBOARD_CSV, write_leaderboard
from fashion.tuning.records import Trial, TrialRecord
from fashion.tuning.space_file import parse_space

EVIL = "\x1b]0;owned\x07 dress\x9b2J \u202egnp"


def test_control_characters_are_shown_and_not_obeyed(capsys):
    assert printable(EVIL) == r"\x1b]0;owned\x07 dress\x9b2J \u202egnp"
    assert printable("Kleid, é 日本 👗\nnext") == "Kleid, é 日本 👗\nnext"
    log.show()
    logging.getLogger("fashion.pipelines").info(EVIL)
    LiveTable().say(EVIL)
    assert capsys.readouterr().out == 2 * (printable(EVIL) + "\n")


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1"])
def test_a_formula_is_text_in_a_csv_file(text, tmp_path):
    assert cell(text) == f"'{text}" and cell("a=b") == "a=b" and cell(None) is None and cell("") == ""
    store = Store(tmp_path)
    trial = Trial(record=TrialRecord(number=0, values={"loss.margin": 0.2}, status="failed", error=text))
    space = parse_space({"loss.margin": {"choice": [0.1, 0.2]}})
    assert write_leaderboard(store, [trial], space, "recall@1")["error"].to_pylist() == [text]
    written = pacsv.read_csv(pa.BufferReader(store.read(LEADERBOARD_CSV)))
    assert written["error"].to_pylist() == [f"'{text}"]

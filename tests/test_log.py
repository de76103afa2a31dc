"""What pipelines say: plain lines on the terminal, all of them in a file of the run's folder."""

import logging

import pytest

from fashion.errors import InputError
from fashion.pipelines import log
from fashion.storage import Store

SAID = logging.getLogger("fashion.pipelines.anything")


@pytest.fixture(autouse=True)
def quiet_afterwards():
    yield
    log.show()


@pytest.fixture(params=["local", "bucket"])
def run(request, tmp_path):
    if request.param == "local":
        return Store(tmp_path / "run")
    request.getfixturevalue("s3").create_bucket(Bucket="logs-of-jobs")
    return Store("s3://logs-of-jobs/é #1/run")


def kept(run: Store) -> str:
    (name,) = run.names(log.LOGS)
    return run.read(name).decode()


def test_the_log_of_a_job_lies_in_its_runs_folder_also_where_it_fails(run, capsys):
    log.show()
    SAID.info("before the folder is known")
    with pytest.raises(InputError), log.kept_log(run, "train"):
        SAID.debug("a detail")
        SAID.warning("note: 100 %s \x1b[2J")
        raise InputError("loss.margin: found -1")
    assert capsys.readouterr().out == "before the folder is known\nnote: 100 %s \\x1b[2J\n"
    lines = kept(run).splitlines()
    assert [line.split()[2] for line in lines[:3]] == ["INFO", "DEBUG", "WARNING"]
    assert "fashion.pipelines.anything: before the folder is known" in lines[0]
    assert "Traceback" in lines[3] and lines[-1] == "fashion.errors.InputError: loss.margin: found -1"


def test_debug_says_more_and_lines_stay_as_they_are(capsys):
    log.show(debug=True)
    SAID.debug("a detail")
    SAID.info("a line")
    SAID.error("failed: x")
    told = capsys.readouterr()
    detail, line = told.out.splitlines()
    assert detail.endswith("DEBUG   fashion.pipelines.anything: a detail") and line == "a line"
    assert told.err == "failed: x\n"


def test_a_folder_that_cannot_be_written_costs_no_job(tmp_path):
    log.show()
    (tmp_path / "run").write_text("a file")
    with log.kept_log(Store(tmp_path / "run"), "train"):
        SAID.info("goes on")


def test_without_show_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(logging.getLogger("fashion"), "handlers", [])
    with log.kept_log(Store(tmp_path / "run"), "train"):
        SAID.info("unseen")
    assert not (tmp_path / "run").exists()

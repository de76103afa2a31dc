"""Every job command that cluster/README.md shows is one that the job takes, and every file that it names is there."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from jobs.cli import parse

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "cluster/README.md").read_text()
SETTINGS = {
    "evaluate": "EvaluateSettings",
    "prepare": "PrepareSettings",
    "reevaluate": "ReevaluateSettings",
    "train": "TrainJobSettings",
}


def commands():
    """The words after `python jobs/NAME.py` in the indented blocks, with their continued lines."""
    blocks = "\n".join(line for line in TEXT.splitlines() if line.startswith("    "))
    blocks = re.sub(r"\\\n\s*", "", blocks)
    blocks = re.sub(r"\n              (?=--)", " ", blocks)  # folded lines of the workflow
    blocks = blocks.replace("jobs/reevaluate.py\n              ", "jobs/reevaluate.py ")
    for name, words in re.findall(r"python jobs/(\w+)\.py (.*)", blocks):
        yield pytest.param(name, shlex.split(words.split("  #")[0]), id=name)


@pytest.mark.parametrize(("name", "words"), list(commands()))
def test_a_job_takes_the_command_of_the_readme(name, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = parse(getattr(importlib.import_module(f"jobs.{name}"), SETTINGS[name]), words)
    assert getattr(found, "run", None) or found.out


def test_all_of_them_were_looked_at():
    assert len(list(commands())) == TEXT.count("python jobs/") - TEXT.count("python jobs/...") >= 9


def test_every_file_that_it_names_is_there():
    named = set(re.findall(r"cluster/[\w./-]+\.\w+|jobs/[\w./-]+\.\w+|ray_cluster\.yaml", TEXT))
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).is_file()]
    table = re.findall(r"^\| `([^`]+)`", TEXT, re.M)
    assert not [name for name in table if not (ROOT / "cluster" / name).exists()]

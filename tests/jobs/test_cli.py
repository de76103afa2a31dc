"""What a user can get wrong is one line and exit status 2; help and the printed configuration work."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fashion.errors import InputError
from jobs.cli import parse
from jobs.evaluate import EvaluateSettings
from jobs.prepare import PrepareSettings
from jobs.sweep import SweepJobSettings
from jobs.train import TrainJobSettings

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    ("settings", "arguments", "said"),
    [
        (TrainJobSettings, ["--network.nme", "x"], "network.nme"),
        (TrainJobSettings, ["--epochs", "many"], '"epochs".*many'),
        (TrainJobSettings, ["--epochs", "0"], "^epochs: found 0, expected at least 1$"),
        (TrainJobSettings, ["--batch.items", "1"], r"^batch\.items: found 1"),
        (TrainJobSettings, ["--batch.items", "64", "--resources.workers", "3"], "3 workers .*63 is one"),
        (TrainJobSettings, ["--optimizer.freeze_epochs", "9", "--epochs", "5"], r"optimizer\.freeze_epochs: found 9"),
        (TrainJobSettings, ["--loss.name", "best"], r"loss\.name.*best"),
        (TrainJobSettings, ["--data", "somewhere"], "^run: missing"),
        (TrainJobSettings, ["--validation.metric", "accuracy"], r"^validation\.metric: found 'accuracy'"),
        (PrepareSettings, ["--out", "x"], "^source: missing"),
        (PrepareSettings, ["--source", "x", "--out", "y", "--size", "4"], "^size: found 4"),
        (PrepareSettings, ["--source", "x", "--out", "y", "--fine", "true"], "^fine: .*category-attribute only"),
        (EvaluateSettings, ["--run", "x"], "^data: missing"),
        (EvaluateSettings, ["--data", "x", "--run", "y", "--protocol.ks", "[0]"], r"^protocol\.ks: found \[0\]"),
        (
            EvaluateSettings,
            ["--data", "x", "--run", "y", "--protocol.positives", "pair", "--protocol.ranking", "item"],
            "a pair names one photo",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(settings, arguments, said):
    with pytest.raises(InputError, match=said) as found:
        parse(settings, arguments)
    assert "\n" not in str(found.value)


def test_a_file_of_settings_and_flags_after_it(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("epochs: 7\nnetwork:\n  size: 96\nloss:\n  name: triplet\n  mining: semi-hard\n")
    found = parse(TrainJobSettings, ["--config", str(file), "--network.size", "80"])
    assert (found.epochs, found.network.size, found.loss.name, found.loss.mining) == (7, 80, "triplet", "semi-hard")
    file.write_text("epochs: 7\nnetwrk:\n  size: 3\n")
    with pytest.raises(InputError, match="netwrk"):
        parse(TrainJobSettings, ["--config", str(file)])


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_an_error_ends_the_job_with_status_2_and_one_line():
    done = run("jobs/train.py", "--network.name", "resnet19")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: network.name: 'resnet19' is not known") and done.stderr.count("\n") == 1


def test_help_explains_every_setting_and_the_printed_configuration_can_be_read_back(tmp_path):
    text = run("jobs/train.py", "--help").stdout
    assert "P, items a step." in text and "--loss.temperature" in text
    assert "(required" not in text
    printed = run("jobs/train.py", "--epochs", "3", "--print_config").stdout
    (tmp_path / "c.yaml").write_text(printed)
    assert yaml.safe_load(printed)["epochs"] == 3
    assert parse(TrainJobSettings, ["--config", str(tmp_path / "c.yaml")]).epochs == 3


def test_a_bucket_that_is_not_there_is_said_before_anything_starts(s3):
    done = run("jobs/evaluate.py", "--data", "s3://no-such-bucket/table", "--run", "s3://no-such-bucket/run")
    assert done.returncode == 2
    assert done.stderr.startswith("error: data: bucket 'no-such-bucket': there is no such bucket; create it")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("file", sorted((ROOT / "jobs/configs").glob("*.yaml")), ids=lambda file: file.stem)
def test_the_examples_of_settings_are_valid(file):
    sweep = file.stem.startswith("sweep")
    found = parse(SweepJobSettings if sweep else TrainJobSettings, ["--config", str(file), "--data", "x", "--run", "y"])
    if sweep:
        assert found.space and found.train.epochs > 1
        return
    assert found.network.pretrained and found.network.size == 224 and found.epochs >= 40
    assert (found.network.design == "fashionnet") == file.stem.startswith("fashionnet")

"""What a user can get wrong is one line and exit status 2; help and the printed configuration work."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fashion.errors import InputError
from fashion.pipelines.embed import EmbedJobSettings
from fashion.pipelines.evaluate import EvaluateSettings
from fashion.pipelines.prepare import PrepareSettings
from fashion.pipelines.reevaluate import ReevaluateSettings
from fashion.pipelines.search import PhotoSearchSettings
from fashion.pipelines.sweep import SweepJobSettings
from fashion.pipelines.train import TrainJobSettings
from fashion.setting_ranges import allowed_in
from fashion.setting_types import check_nulls, options, types_of
from jobs.cli import main, parse

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    ("settings", "arguments", "said"),
    [
        (TrainJobSettings, ["--network.nme", "x"], "network.nme"),
        (TrainJobSettings, ["--epochs", "many"], "^epochs: found many, expected a whole number or null$"),
        (TrainJobSettings, ["--epochs", "0"], "^epochs: found 0, expected at least 1$"),
        (TrainJobSettings, ["--batch.items", "1"], r"^batch\.items: found 1"),
        (TrainJobSettings, ["--batch.items", "64", "--resources.workers", "3"], "3 workers .*63 is one"),
        (TrainJobSettings, ["--optimizer.freeze_epochs", "9", "--epochs", "5"], r"optimizer\.freeze_epochs: found 9"),
        (TrainJobSettings, ["--loss.name", "best"], r"^loss\.name: found best, expected one of tuplet, "),
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


def test_help_says_the_range_of_every_setting_that_has_one():
    words = " ".join(run("jobs/sweep.py", "--help").stdout.split())
    ranges = allowed_in(SweepJobSettings)
    assert len(ranges) > 50 and words.count(" Range: ") == len(ranges)
    assert all(f" Range: {allowed}." in words for allowed in ranges.values())


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


ALL = (TrainJobSettings, PrepareSettings, EvaluateSettings, EmbedJobSettings, PhotoSearchSettings, SweepJobSettings,
       ReevaluateSettings)  # fmt: skip


@pytest.mark.parametrize("settings", ALL)
def test_null_is_refused_for_every_setting_that_does_not_admit_it(settings):
    for name, kind in types_of(settings).items():
        values: dict | None = None
        for part in reversed(name.split(".")):
            values = {part: values}
        if type(None) in options(kind):
            check_nulls(settings, values)
            continue
        with pytest.raises(InputError, match=rf"^{name}: found null, expected [a-z ].*; leave it out for the default$"):
            check_nulls(settings, values)


@pytest.mark.parametrize(
    ("settings", "text", "said"),
    [
        (TrainJobSettings, "loss:\n  name: null\n", r"^loss\.name: found null, expected one of tuplet"),
        (TrainJobSettings, "seed: null\n", "^seed: found null, expected a whole number"),
        (TrainJobSettings, "network:\n  head: null\n", r"^network\.head: found null, expected one of linear, bnneck"),
        (TrainJobSettings, "labels: null\n", "^labels: found null, expected a list"),
        (TrainJobSettings, "network: null\n", "^network: found null, expected a group of settings"),
        (PrepareSettings, "source: x\nholdout: null\n", "^holdout: found null, expected a number"),
        (SweepJobSettings, "train:\n  loss:\n    memory: null\n", r"^train\.loss\.memory: found null"),
    ],
)
def test_null_in_a_file_of_settings_is_one_line(settings, text, said, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError, match=said) as found:
        parse(settings, ["--config", str(tmp_path / "c.yaml")])
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("settings", "wrong", "meant"),
    [
        (TrainJobSettings, "loss.margn", "loss.margin"),
        (TrainJobSettings, "epoch", "epochs"),
        (PrepareSettings, "benchmrk", "benchmark"),
        (EvaluateSettings, "protocol.rerankin", "protocol.reranking"),
        (EmbedJobSettings, "ann.nprob", "ann.nprobe"),
        (PhotoSearchSettings, "catalog", "catalogue"),
        (SweepJobSettings, "train.loss.margn", "train.loss.margin"),
        (ReevaluateSettings, "baselin", "baseline"),
    ],
)
def test_a_misspelt_setting_gets_a_suggestion_on_the_command_line_and_in_a_file(settings, wrong, meant, tmp_path):
    values: object = 1
    for part in reversed(wrong.split(".")):
        values = {part: values}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))
    for arguments in (["--" + wrong, "1"], [f"--{wrong}=1"], ["--config", str(tmp_path / "c.yaml")]):
        with pytest.raises(InputError, match=rf"^{wrong}: no such setting; did you mean .*\b{meant}\b.*\?$"):
            parse(settings, arguments)


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot be read"), ("a: [", "not YAML"), ("- 1\n", "found list, expected settings by name")],
)
def test_what_is_no_file_of_settings_is_one_line(text, said, tmp_path):
    file = tmp_path / "c.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=f"^config: {file}: .*{said}") as found:
        parse(TrainJobSettings, [f"--config={file}"])
    assert "\n" not in str(found.value)


def test_settings_are_read_from_a_bucket(s3):
    s3.create_bucket(Bucket="settings")
    s3.put_object(Bucket="settings", Key="first/best.yaml", Body=b"epochs: 7\nloss: {margin: 1e-1}\n")
    found = parse(TrainJobSettings, ["--config", "s3://settings/first/best.yaml", "--network.size", "80"])
    assert (found.epochs, found.loss.margin, found.network.size) == (7, 0.1, 80)
    with pytest.raises(InputError, match=r"^config: s3://settings/first/other.yaml: cannot be read"):
        parse(TrainJobSettings, ["--config", "s3://settings/first/other.yaml"])
    with pytest.raises(InputError, match=r"^config: bucket 'nobodys': there is no such bucket"):
        parse(TrainJobSettings, ["--config", "s3://nobodys/best.yaml"])


@pytest.mark.parametrize("sweep", [False, True])
def test_what_follows_from_the_networks_name_follows_from_the_one_that_is_given(sweep):
    settings, prefix = (SweepJobSettings, "--train.network") if sweep else (TrainJobSettings, "--network")
    needed = ["--space", "{loss.margin: {choice: [0.1, 0.2]}}", "--data", "x", "--run", "y"] if sweep else []
    usual, other = (parse(settings, needed + given).train.network for given in ([], [f"{prefix}.name", "resnet18"]))
    assert (usual.pretrained, usual.size) == ("DEFAULT", 160)
    assert (other.name, other.pretrained, other.size) == ("resnet18", None, 64)


@pytest.mark.parametrize("debug", [False, True])
def test_what_failed_is_one_line_and_status_1_with_its_traceback_where_that_is_asked_for(capsys, debug):
    def job(settings):
        raise RuntimeError("far\x1b[2J away\n\nit is out of memory\n")

    with pytest.raises(SystemExit) as ended:
        main(EvaluateSettings, job, ["--data", "x", "--run", "y", *(["--debug"] if debug else [])])
    told = capsys.readouterr().err
    assert ended.value.code == 1 and ("Traceback" in told) == debug
    line = "failed: it is out of memory" + ("" if debug else " (--debug prints all of it)")
    assert told.splitlines()[-1] == line and (debug or told.count("\n") == 1)

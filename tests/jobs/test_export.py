import json

import pytest

from fashion.networks.model import build_network
from fashion.networks.settings import SHIPPED, NetworkSettings
from fashion.storage import Store
from fashion.training.checkpoint import checkpoint_name, write_checkpoint
from fashion.training.history import EpochRow
from fashion.training.run_record import RUN
from fashion.training.settings import TrainSettings
from jobs.cli import main
from jobs.export import ExportSettings, job
from tests.catalogues import run_record


def a_run(folder, **values):
    settings = TrainSettings(epochs=1, network=NetworkSettings(size=32, dimension=8, **values))
    run = run_record(settings.identity())
    Store(folder).write_value(RUN, run)
    checkpoint = folder / checkpoint_name(0)
    checkpoint.mkdir()
    network = build_network(settings.network, seed=0)
    write_checkpoint(str(checkpoint), network, {}, history=[EpochRow(epoch=0, recall={"1": 0.5})], run=run)
    return folder


@pytest.mark.parametrize("values, written", [({"name": SHIPPED}, ["config.json", "model.safetensors", "network.onnx"]),
                                             ({"name": "embnet", "width": 0.25}, ["network.onnx"])])  # fmt: skip
def test_all_forms_that_there_are_of_a_runs_best_network_are_written(tmp_path, capsys, values, written):
    run, out = a_run(tmp_path, **values), tmp_path / "out"
    assert not job(ExportSettings(run=str(run), out=str(out)))
    assert sorted(file.name for file in out.iterdir()) == written
    assert capsys.readouterr().out.split() == [f"{out}/{name}" for name in written]
    if "config.json" in written:
        assert json.loads((out / "config.json").read_text())["architecture"] == "tf_efficientnet_lite0"


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ([], "run: missing"),
        (["--run", "nowhere", "--out", "out"], "no checkpoint there"),
        (["--run", "RUN", "--out", "out", "--format", "timm"], "format: timm has no place for embnet"),
    ],
)
def test_what_a_user_can_mend_is_one_line(tmp_path, monkeypatch, capsys, arguments, expected):
    monkeypatch.chdir(tmp_path)
    run = str(a_run(tmp_path, name="embnet", width=0.25))
    with pytest.raises(SystemExit) as status:
        main(ExportSettings, job, [run if a == "RUN" else a for a in arguments])
    said = capsys.readouterr().err
    assert status.value.code == 2 and expected in said and said.count("\n") == 1

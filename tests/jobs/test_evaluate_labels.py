"""The evaluation job on networks with and without a vocabulary."""

import json

import pyarrow.parquet as pq
import pytest

from fashion.errors import InputError
from fashion.pipelines.evaluate import EvaluateSettings, evaluate_run
from fashion.retrieval.gate.history import read_history
from fashion.retrieval.settings import ProtocolSettings
from fashion.storage import Store
from fashion.vocabulary import Vocabulary
from tests.catalogues import make_run, make_table, photos, with_labels

CATEGORIES, ATTRIBUTES = ("Dress", "Skirt", "Tee"), ("dotted", "long", "red")
VOCABULARY = Vocabulary(categories=CATEGORIES, attributes=ATTRIBUTES)


@pytest.fixture
def table(tmp_path):
    rows = with_labels(photos(12, splits=("test", "train")), categories=CATEGORIES, attributes=ATTRIBUTES)
    return make_table(Store(tmp_path / "table"), rows, types=dict.fromkeys(ATTRIBUTES, "texture"))


def settings(table, run, **options):
    return EvaluateSettings(data=table.store.uri, run=run.uri, **options)


def test_a_plain_network_is_refused_before_anything_is_embedded(tmp_path, table):
    run = make_run(tmp_path / "run")
    with pytest.raises(InputError, match=r"^protocol\.category: found restrict, but this network predicts no category"):
        evaluate_run(settings(table, run, protocol=ProtocolSettings(category="restrict")), table, run)
    assert not (tmp_path / "run/evaluation").exists()


def test_labels_are_told_wherever_an_evaluation_is(tmp_path, table, ray_running, capsys):
    run = make_run(tmp_path / "run", vocabulary=VOCABULARY)
    first = evaluate_run(settings(table, run, protocol=ProtocolSettings(category="weigh")), table, run)
    said = capsys.readouterr().out
    assert "category top-1" in said and "category ignored" in said and "not comparable with this table" in said
    out = run / "evaluation"
    assert out.read_json("metrics.json") == json.loads(json.dumps(first))
    assert first["labels"]["images"] == 18 and first["labels"]["crop"] == "whole"
    assert first["labels"]["category"]["images"] == sum(
        row["category"] is not None
        for shard in table.shards("test")
        for row in table.image_rows(shard.name).to_pylist()
    )
    with out.open("queries.parquet") as file:
        queries = pq.read_table(file).to_pylist()
    assert all(set(row["category_top"]) == set(CATEGORIES) for row in queries)
    assert "Drawn at random" in out.read("report.html").decode()
    again = settings(table, run, out=str(tmp_path / "again"), against=out.uri)
    compared = evaluate_run(again, table, run)["comparison"]["labels"]
    assert {row["name"] for row in compared} >= {"category top-1", "attributes recall@3", "landmark error"}
    assert all(row["difference"] == 0 for row in compared)
    (row,) = read_history(out / "history")
    assert row["category top-3"] == first["labels"]["category"]["top"]["3"]

"""Nights of a gate: nothing accepted yet, accepted, the same again, worse, and accepted all the same."""

import pyarrow as pa
import pytest

from fashion.demo.catalogue import write_demo
from fashion.errors import InputError
from fashion.storage import Store
from jobs.reevaluate import ReevaluateSettings, job
from tests.catalogues import make_run


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("In-shop Clothes Retrieval Benchmark") / "é日本 #1%20"
    write_demo(root / "catalogue", items=40, seed=5, workers=1)
    (root / "run").mkdir()
    make_run(root / "run")
    return {
        "run": str(root / "run"),
        "source": str(root / "catalogue"),
        "data": str(root / "tables/{day}"),
        "baseline": str(root / "baseline"),
    }


@pytest.fixture
def night(places, ray_running):
    """Exit status of the job on a day."""
    return lambda day, **settings: job(ReevaluateSettings(**places, day=f"2026-11-{day:02d}", **settings))


def spoil(baseline):
    """The accepted evaluation, as if it had found everything at once."""
    queries = baseline.read_table("queries.parquet")
    place = queries.column_names.index("rank")
    perfect = queries.set_column(place, "rank", pa.array([1] * len(queries), pa.int64()))
    baseline.write_table("queries.parquet", perfect)


def test_nights(night, places, capsys):
    baseline, results = Store(places["baseline"]), Store(places["run"]) / "reevaluations"
    with pytest.raises(InputError, match=r"^baseline: nothing is accepted in .*--accept true"):
        night(1)
    assert not results.names(recursive=True)  # said before anything is done

    assert night(1, accept=True) == 0
    first = results.read("2026-11-01/metrics.json")
    assert baseline.read("metrics.json") == first
    assert night(2) == 0
    assert results.read_json("2026-11-02/metrics.json")["comparison"]["verdict"] == "no difference"
    assert baseline.read("metrics.json") == first
    assert Store(places["data"].replace("{day}", "2026-11-02")).exists("manifest.json")
    assert baseline.names("history")

    spoil(baseline)
    assert night(3) == 3
    assert results.read_json("2026-11-03/metrics.json")["comparison"]["verdict"] == "worse"
    assert "worse" in capsys.readouterr().out.lower()
    assert baseline.read("metrics.json") == first  # an alert accepts nothing

    assert night(3, accept=True) == 0  # nothing is embedded again, and it is taken as it is
    assert baseline.read_json("metrics.json")["comparison"]["verdict"] == "worse"
    assert night(4) == 0


def test_a_day_is_a_date_and_stands_in_every_address():
    given = {"run": "s3://b/run", "data": "s3://b/{day}/table", "baseline": "s3://b/baseline/"}
    dated = ReevaluateSettings(**given, day="2026-02-28").dated()
    assert (dated.data, dated.out) == ("s3://b/2026-02-28/table", "s3://b/run/reevaluations/2026-02-28")
    assert dated.history == "s3://b/baseline/history"
    today = ReevaluateSettings(**given).dated()
    assert today.data == f"s3://b/{today.day}/table" and len(today.day) == 10
    for wrong in ("today", "2026-02-30", "20260228"):
        with pytest.raises(InputError, match=r"^day: found"):
            ReevaluateSettings(**given, day=wrong)

"""The history of evaluations, and reading an earlier one back, from local folders and through S3."""

import copy
import json
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_pages import COMPARISON

from fashion.errors import InputError
from fashion.json_values import of_plain
from fashion.retrieval.gate.earlier import ScoredMetrics, read_earlier
from fashion.retrieval.gate.history import history_row, read_history, record, trend
from fashion.retrieval.metrics_record import Metrics
from fashion.storage import Store

METRICS = {
    "protocol": {"benchmark": "in-shop", "gallery_splits": ["test"]},
    "queries": 3,
    "gallery": 4,
    "unmatched_queries": 0,
    "recall": {"1": 0.5, "10": 0.9},
    "map": 0.6,
    "mrr": 0.7,
    "model": {"fingerprint": "m1", "run": "runs/a"},
    "data": {"fingerprint": "d1"},
    "created": "2026-01-05T03:00:00Z",
}


def metrics(**changed) -> Metrics:
    found = copy.deepcopy(METRICS) | {k: v for k, v in changed.items() if k != "model"}
    found["model"]["fingerprint"] = changed.get("model", "m1")
    return of_plain(Metrics, found)


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path):
    if request.param == "local":
        return Store(tmp_path / "history")
    request.getfixturevalue("s3").create_bucket(Bucket="history")
    return Store("s3://history/evaluations")


def test_each_evaluation_is_one_row_however_often_it_is_run(store):
    assert read_history(store) == []
    night = metrics(model="m2", created="2026-01-04T03:00:00Z", r_precision=0.4, median_rank=2)
    for told in (metrics(), night, metrics(created="2026-01-09T03:00:00Z"), metrics(query_set="other")):
        record(store, history_row(told))
    rows = read_history(store)
    assert rows[0]["model"] == "m2" and {(row["model"], row["query_set"]) for row in rows[1:]} == {
        ("m1", None),
        ("m1", "other"),
    }
    assert len(rows) == 3
    assert [row["created"] for row in rows] == ["2026-01-04T03:00:00Z", *["2026-01-05T03:00:00Z"] * 2]
    assert (rows[0]["recall@10"], rows[0]["r_precision"], rows[0]["median_rank"]) == (0.9, 0.4, 2.0)
    assert rows[1]["r_precision"] is None and json.loads(rows[1]["protocol"]) == METRICS["protocol"]


def test_a_verdict_is_added_and_kept(tmp_path):
    store = Store(tmp_path)
    compared = metrics(comparison=COMPARISON | {"against": COMPARISON["against"] | {"model": "m0"}})
    for told in (metrics(), compared, metrics()):
        record(store, history_row(told))
    (row,) = read_history(store)
    assert (row["verdict"], row["against"], row["created"]) == ("worse", "m0", METRICS["created"])


def test_evaluations_that_end_together_lose_no_row(store):
    rows = [history_row(metrics(model=f"m{i}")) for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda row: record(store, row), rows))
    assert {row["model"] for row in read_history(store)} >= {f"m{i}" for i in range(24)}


def test_any_reader_takes_the_folder_as_a_table(tmp_path):
    store = Store(tmp_path)
    for i in range(3):
        record(store, history_row(metrics(model=f"m{i}")))
    table = pq.read_table(tmp_path)
    assert table.num_rows == 3 and table["recall@1"].type == pa.float64() and table["verdict"].type == pa.string()


def test_the_trend_is_of_the_same_protocol(tmp_path):
    store = Store(tmp_path)
    other = METRICS["protocol"] | {"gallery_splits": ["val", "test"]}
    for told in (metrics(), metrics(model="m2"), metrics(protocol=other)):
        record(store, history_row(told))
    assert sorted(row["model"] for row in trend(read_history(store), metrics())) == ["m1", "m2"]
    assert [row["model"] for row in trend(read_history(store), metrics(protocol=other))] == ["m1"]


QUERIES = pa.table(
    {
        "image": list("abc"),
        "item": list("ABC"),
        "rank": [1, None, 2],
        "average_precision": [1, 0.0, 0.5],
        "more": [0] * 3,
    }
)


def write_evaluation(store: Store, name="metrics.json", network="m1", told=METRICS):
    store.write_json(name, told)
    store.write_table("queries.parquet", QUERIES.replace_schema_metadata({"network": network}))


def test_an_earlier_evaluation_is_found_by_file_folder_and_run(store):
    write_evaluation(store / "run/evaluation")
    write_evaluation(store / "accepted", name="baseline.json")
    for place in ("run", "run/evaluation", "run/evaluation/", "run/evaluation/metrics.json", "accepted/baseline.json"):
        found = read_earlier(f"{store.uri}/{place}")
        assert found.metrics == of_plain(ScoredMetrics, METRICS) and found.queries["rank"].to_pylist() == [1, None, 2]
        assert found.queries.column_names == ["image", "item", "rank", "average_precision"]
        assert found.uri.startswith(store.uri) and found.uri.endswith(".json")


def test_what_is_not_an_evaluation_is_said_in_one_line(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(InputError, match=r"against: .*evaluation/metrics.json is not there; evaluate that run first"):
        read_earlier(store.uri)
    store.write_json("alone/metrics.json", METRICS)
    with pytest.raises(InputError, match=r"alone/queries.parquet is not there"):
        read_earlier(f"{store.uri}/alone")
    write_evaluation(store / "mixed", network="m2")
    with pytest.raises(InputError, match=r"metrics.json is of network m1 and 3 queries, queries.parquet of m2 and 3"):
        read_earlier(f"{store.uri}/mixed")
    write_evaluation(store / "short", told=METRICS | {"queries": 9})
    with pytest.raises(InputError, match=r"of network m1 and 9 queries, queries.parquet of m1 and 3"):
        read_earlier(f"{store.uri}/short")
    write_evaluation(store / "list", told=[1, 2])
    write_evaluation(store / "torn")
    store.write("torn/queries.parquet", b"PAR1 and no more")
    for name, said in (("list", "list: not an evaluation"), ("torn", r"torn/queries.parquet: is damaged")):
        with pytest.raises(InputError, match=said):
            read_earlier(f"{store.uri}/{name}")
    store.write_table("narrow/queries.parquet", QUERIES.drop_columns(["rank"]))
    store.write_json("narrow/metrics.json", METRICS)
    with pytest.raises(InputError, match="has no column rank"):
        read_earlier(f"{store.uri}/narrow")

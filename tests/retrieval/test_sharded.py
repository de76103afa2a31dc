"""The search as Ray tasks answers as the search in one process does, whatever becomes of the machines."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fashion.errors import InputError
from fashion.retrieval.embeddings import EMBEDDING
from fashion.retrieval.evaluate import evaluate
from fashion.retrieval.gallery import Shard
from fashion.retrieval.rank import rank
from fashion.retrieval.results import query_table
from fashion.retrieval.search.queries import Queries
from fashion.retrieval.search.ray_parts import FAN, RayMapReduce, _runs
from fashion.retrieval.settings import ProtocolSettings
from fashion.storage import Store
from tests.retrieval.galleries import item_table, vectors, write_shards

ROOT = Path(__file__).resolve().parents[2]


def gallery_rows(rng, items=150, kind="copies"):
    rows = []
    for item in range(items):
        for n, role in enumerate(("query", "gallery", "gallery")):
            row = {"item": f"id_{item:03d}", "image": f"img/{item}/{n}.jpg", "domain": "shop", "role": role}
            rows.append(row | {"category": "Tee", "clothes_type": 1, "pairs": None})
    for row, z in zip(rows, vectors(rng, len(rows), 12, kind), strict=True):
        row[EMBEDDING] = z
    return rows


@pytest.mark.parametrize(("ranking", "slots"), [("image", 1), ("image", 4), ("centroid", 4)])
def test_tasks_on_one_or_four_slots_answer_as_one_process_does(s3, ray_running, ranking, slots):
    """On storage over HTTP, with enough shards for the tree of joins, some of which share items."""
    rng = np.random.default_rng(0)
    rows = gallery_rows(rng)
    bucket = f"search-{ranking}-{slots}"
    s3.create_bucket(Bucket=bucket)
    store = Store(f"s3://{bucket}/embeddings")
    names = {"test": write_shards(store, "test", rows, rng.integers(0, 3 * FAN, len(rows)).tolist())}
    settings = ProtocolSettings(ks=(1, 5), ranking=ranking)
    expected = evaluate(store, names, item_table(), settings, crop="whole")
    seen = []
    found = evaluate(
        store, names, item_table(), settings, crop="whole", map_reduce=RayMapReduce(slots=slots),
        progress=lambda *state: seen.append(state),
    )  # fmt: skip
    assert found.metrics == expected.metrics
    assert query_table(found).equals(query_table(expected))
    assert seen[-1] == (len(names["test"]), len(names["test"])) and seen == sorted(seen)


def test_a_shard_that_cannot_be_searched_is_an_error_of_one_line(tmp_path, ray_running):
    rows = gallery_rows(np.random.default_rng(1), items=4)
    rows[1][EMBEDDING] = np.full(12, np.nan, np.float32)
    store = Store(tmp_path)
    names = write_shards(store, "test", rows, [0, 1] * 6)
    parts = [Shard(number=n, store=store, name=name) for n, name in enumerate(names)]
    asked = Queries.of(np.ones((1, 12), np.float32), ["id_000"])
    with pytest.raises(InputError, match=r"^gallery image img.*not finite") as fault:
        rank(asked, parts, 3, map_reduce=RayMapReduce(slots=2))
    assert "\n" not in str(fault.value)


def test_a_machine_killed_half_way_changes_nothing(tmp_path):
    rng = np.random.default_rng(2)
    rows, shards = gallery_rows(rng), 12
    write_shards(Store(tmp_path), "test", rows, [n % shards for n in range(len(rows))])
    queries = [row for row in rows if row["role"] == "query"]
    np.savez(
        tmp_path / "queries.npz",
        vectors=np.stack([row[EMBEDDING] for row in queries]),
        items=[row["item"] for row in queries],
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.retrieval.two_nodes", str(tmp_path), str(shards)],
        cwd=ROOT, env=os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1] == "the same"


@pytest.mark.parametrize(("parts", "count"), [(1, 8), (7, 3), (17, 16), (16, 16), (100, 8)])
def test_runs_are_even_and_hold_every_part_once(parts, count):
    runs = _runs(list(range(parts)), count)
    assert [part for run in runs for part in run] == list(range(parts))
    assert len(runs) == min(parts, count) and max(map(len, runs)) - min(map(len, runs)) <= 1

"""The evaluation of labels over shards on storage: the same for any shards, and what is said beside it."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from predictions import CATEGORIES, MANIFEST, NAMES, SPACE, VOCABULARY, predictions, truths

from fashion.data.table_manifest import LabelledImages
from fashion.json_values import of_plain, to_plain
from fashion.retrieval.labels.columns import label_columns
from fashion.retrieval.labels.evaluate import evaluate_labels
from fashion.retrieval.labels.measures import label_measures
from fashion.retrieval.labels.numbers import LabelMetrics
from fashion.retrieval.labels.published import ATTRIBUTES, IMAGES, PUBLISHED, is_full_benchmark
from fashion.retrieval.labels.tally import tally
from fashion.retrieval.labels.text import labels_text
from fashion.storage import Store

COUNTED = replace(
    MANIFEST,
    settings={"benchmark": "category-attribute", "crop": False, "fine": False},
    labels={"test": LabelledImages(images=120, attributes=120)},
    category_counts=dict.fromkeys(CATEGORIES, 3),
    attribute_counts=dict.fromkeys(NAMES, 2),
)
N = 120


def rows_of(seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    held = truths(rng, N)
    about = [
        {"image": f"{n:03}.jpg", "item": f"id_{n}", "domain": "shop", "category": t.category, "shard": "s", "group": 0}
        for n, t in enumerate(held)
    ]
    rows = label_columns(predictions(rng, N, coarse=True), held, SPACE)
    columns = pa.Table.from_pylist(about)
    return pa.Table.from_arrays([*columns.columns, *rows.columns], [*columns.column_names, *rows.column_names])


def evaluated(folder, rows: pa.Table, shards: np.ndarray, **options):
    store = Store(folder)
    for number in set(shards.tolist()):
        store.write_table(f"test/{number}.parquet", rows.filter(pa.array(shards == number)))
    names = [f"test/{number}" for number in sorted(set(shards.tolist()))]
    options = {"split": "test", "crop": "whole", "seed": 3} | options
    return evaluate_labels(store, names, COUNTED, VOCABULARY, **options)


def test_numbers_and_examples_do_not_depend_on_the_shards(tmp_path):
    rows = rows_of()
    whole = evaluated(tmp_path / "0", rows, np.zeros(N, int))
    for n, shards in enumerate((2, 9, 60), 1):
        cut = np.random.default_rng(n).integers(shards, size=N)
        found = evaluated(tmp_path / str(n), rows.take(pa.array(np.random.default_rng(n).permutation(N))), cut)
        assert found.metrics == whole.metrics
        for name, shown in whole.examples.items():
            assert found.examples[name].to_pylist() == shown.to_pylist()
    expected = label_measures(
        tally(rows), categories=6, attributes=SPACE.attributes.names, types=MANIFEST.attribute_types
    )
    assert {name: getattr(whole.metrics, name) for name in vars(expected)} == vars(expected)
    assert whole.metrics.images == N
    plain = to_plain(whole.metrics)
    kinds = ["images", "category", "attributes", "landmarks"]
    assert list(plain) == ["split", "crop", *kinds, "baselines", "published", "comparable"]
    assert list(plain["landmarks"])[:5] == ["images", "visible", "error", "annotated", "visibility"]
    assert of_plain(LabelMetrics, plain) == whole.metrics


def test_examples_are_drawn_by_the_seed_and_the_worst_are_the_worst(tmp_path):
    rows = rows_of()
    shown = evaluated(tmp_path, rows, np.arange(N) % 4).examples
    other = evaluated(tmp_path, rows, np.arange(N) % 4, seed=4).examples
    assert shown["drawn"]["image"].to_pylist() != other["drawn"]["image"].to_pylist()
    assert {name: len(table) for name, table in shown.items()} == {
        "drawn": 12, "wrong category": 6, "landmarks far off": 6,
    }  # fmt: skip
    assert all(rank != 1 for rank in shown["wrong category"]["category_rank"].to_pylist())
    errors = {
        row["image"]: np.mean([e for e in row["landmark_errors"] if e is not None] or [0])
        for row in rows.to_pylist()
        if row["landmark_errors"]
    }
    worst = sorted(errors, key=errors.get, reverse=True)[:6]
    assert shown["landmarks far off"]["image"].to_pylist() == worst
    few = evaluated(tmp_path / "few", rows.slice(0, 2), np.zeros(2, int)).examples
    assert len(few["drawn"]) <= 2


def test_without_any_label_there_is_nothing_to_say(tmp_path):
    rows = rows_of()
    for name in ("category_rank", "attribute_ranks", "attribute_type_ranks", "landmarks_true", "landmark_errors"):
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, name, pa.nulls(N, rows.schema.field(name).type))
    assert evaluated(tmp_path, rows, np.arange(N) % 2) is None


def test_the_table_in_print_marks_published_rows_and_says_what_was_counted(tmp_path):
    labels = evaluated(tmp_path, rows_of(), np.zeros(N, int)).metrics
    text = labels_text(labels)
    lines = {line.strip().split("  ")[0]: line for line in text.splitlines() if "%" in line}
    assert "FashionNet (2016) *" in text and "not comparable with this table" in text
    assert lines["category top-3"].endswith("82.6%") and lines["category top-1"].endswith("–")
    assert lines["attributes recall@5"].endswith("54.6%") and "style recall@3" in lines
    assert "unknown to the network and count as misses" in text and "of the picture's sides" in text
    assert "published; the same benchmark" in labels_text(replace(labels, comparable=True))
    bare = replace(labels, attributes=None, landmarks=None)
    assert "recall" not in labels_text(bare) and "landmark" not in labels_text(bare)


def test_only_the_whole_benchmark_stands_beside_published_numbers():
    used = {"benchmark": "category-attribute", "crop": False, "fine": False}
    labels = {split: LabelledImages(images=count, attributes=count) for split, count in IMAGES.items()}
    full = replace(MANIFEST, settings=used, labels=labels, attributes=["a"] * ATTRIBUTES)
    assert is_full_benchmark(full, "test") and not is_full_benchmark(full, "val")
    for change in (
        {"settings": used | {"fine": True}},
        {"settings": {"benchmark": "in-shop", "crop": False}},
        {"labels": labels | {"test": LabelledImages(images=39_999, attributes=0)}},
        {"attributes": ["a"] * 999},
    ):
        assert not is_full_benchmark(replace(full, **change), "test")
    by_type = to_plain(PUBLISHED["FashionNet (2016)"])["attributes"]["by_type"]
    assert [row["recall"]["5"] for row in by_type] == pytest.approx([0.4952, 0.4984, 0.4859, 0.5402, 0.7316])

"""Labels as arrays, against the annotations themselves: what is absent, and what is not known."""

import dataclasses

import numpy as np
import pytest

from fashion.data.boxes import usable_box
from fashion.data.labels import Labeller, as_shown, count_attributes, vocabulary_of
from fashion.storage import Store
from fashion.vocabulary import Vocabulary
from tests.catalogues import make_table, photos, with_labels


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two tables whose names overlap in part."""
    root = tmp_path_factory.mktemp("labels")
    first = with_labels(photos(9, splits=("train", "test")), categories=("Tee", "Dress"), attributes=("v", "striped"))
    second = with_labels(
        photos(7, splits=("train",), seed=500), categories=("Coat", "Tee"), attributes=("striped", "a b")
    )
    return (first, make_table(Store(root / "a"), first)), (second, make_table(Store(root / "b"), second))


def test_the_vocabulary_is_the_union_of_the_tables_names_sorted(tables):
    (_, a), (_, b) = tables
    vocabulary = vocabulary_of(a, b)
    assert vocabulary == Vocabulary(categories=("Coat", "Dress", "Tee"), attributes=("a b", "striped", "v"))
    assert vocabulary_of(b, a) == vocabulary and vocabulary_of(a).attributes == ("striped", "v")


def test_attributes_are_counted_among_the_train_pictures_of_tables_that_list_them(tables):
    (first, a), (second, b) = tables
    vocabulary = vocabulary_of(a, b)
    positives, pictures = count_attributes(vocabulary, a, b)
    for i, name in enumerate(vocabulary.attributes):
        lists = [rows for rows, table in ((first, a), (second, b)) if name in table.manifest.attributes]
        known = [p for rows in lists for p in rows if p.split == "train" and p.attributes is not None]
        assert pictures[i] == len(known) > 0, name
        assert positives[i] == sum(name in p.attributes for p in known) > 0, name


@pytest.mark.parametrize("crop", ["whole", "box"])
def test_arrays_say_what_is_annotated_and_what_is_not_known(tables, crop):
    (rows, table), (_, other) = tables
    vocabulary = vocabulary_of(table, other)
    labeller = Labeller(vocabulary, table, crop)
    assert ("box" in labeller.columns) == (crop == "box")
    columns = {name: [dataclasses.asdict(p).get(name) for p in rows] for name in labeller.columns}
    columns |= {"width": [60] * len(rows), "height": [80] * len(rows)}
    arrays = labeller.blank(2, len(rows))
    for i in range(len(rows)):
        labeller.put(arrays, (1, i), columns, i)
    for name, blank in labeller.blank(len(rows)).items():
        assert np.array_equal(arrays[name][0], blank), name  # the other rows stay as they are
    unknown = set()
    for i, row in enumerate(rows):
        category, known = int(arrays["category"][1, i]), arrays["attributes_known"][1, i].astype(bool)
        assert (None if category < 0 else vocabulary.categories[category]) == row.category
        present = {vocabulary.attributes[a] for a in np.flatnonzero(arrays["attributes"][1, i])}
        assert present == set(row.attributes or ())
        assert {n for n, k in zip(vocabulary.attributes, known, strict=True) if k} == (
            set() if row.attributes is None else {"striped", "v"}  # "a b" is not on this table's list
        )
        marks = arrays["landmarks"][1, i]
        assert (marks[:, 0] == -2).all() == (row.landmarks is None)
        if row.landmarks is not None:
            expected = as_shown(row.landmarks, row.box if crop == "box" else None, 60, 80)
            assert np.array_equal(marks, expected)
        unknown |= {n for n in ("category", "attributes", "landmarks") if getattr(row, n) is None}
    assert unknown == {"category", "attributes", "landmarks"}


def test_a_table_without_attributes_has_no_empty_arrays(tables):
    table = tables[0][1]
    labeller = Labeller(Vocabulary(categories=("Dress", "Tee"), attributes=()), table, "whole")
    arrays = labeller.blank(1)
    columns = {name: [None] for name in labeller.columns} | {"category": ["Tee"], "attributes": [["v"]]}
    labeller.put(arrays, (0,), columns, 0)
    assert arrays.keys() == {"category", "landmarks"} and arrays["category"][0] == 1


def test_landmarks_are_fractions_of_the_part_that_is_shown_and_cut_off_outside_it():
    points = [[0, 30, 40], [1, 15, 20], [2, 0, 0], [-1, 0, 0], [0, 59, 79], [0, 5, 40], [1, 30, 100], [0, 10, 20]]
    flat = [float(v) for point in points for v in point]
    whole = as_shown(flat, None, 60, 80)
    assert whole[0].tolist() == [0, 0.5, 0.5] and whole[1].tolist() == [1, 0.25, 0.25]
    assert whole[:, 0].tolist() == [0, 1, 2, -1, 0, 0, 2, 0]
    box = as_shown(flat, [10, 20, 50, 60], 60, 80)
    assert box[0].tolist() == [0, 0.5, 0.5] and box[7].tolist() == [0, 0, 0]
    assert box[:, 0].tolist() == [0, 1, 2, -1, 2, 2, 2, 0]
    small = [20, 20, 22, 60]  # no usable box: the whole picture is shown
    assert usable_box(small, 60, 80) is None and np.array_equal(as_shown(flat, small, 60, 80), whole)

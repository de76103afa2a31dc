"""Ranks, columns and numbers of labels against plain loops, ties included, for any division into shards."""

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from predictions import (
    CATEGORIES,
    MANIFEST,
    NAMES,
    SPACE,
    TYPES,
    VOCABULARY,
    judged_plainly,
    predictions,
    rank_of,
    truths,
)

from fashion.json_values import to_plain
from fashion.retrieval.labels.columns import category_scores, label_columns
from fashion.retrieval.labels.measures import guesses, label_measures
from fashion.retrieval.labels.ranks import best_first, ranks, ranks_within
from fashion.retrieval.labels.space import LabelSpace
from fashion.retrieval.labels.tally import join_tallies, tally
from fashion.vocabulary import Vocabulary
from tests.catalogues import table_manifest


@pytest.mark.parametrize("coarse", [True, False])
def test_ranks_are_those_of_counting(coarse):
    rng = np.random.default_rng(0)
    scores = (rng.integers(-2, 2, (40, 11)) if coarse else rng.normal(size=(40, 11))).astype(np.float32)
    groups = np.array([0, 1, -1, 0, 0, 1, 2, 1, -1, 0, 2])
    found, within, best = ranks(scores), ranks_within(scores, groups), best_first(scores)
    for n in range(40):
        names = list(map(str, range(11)))
        held = dict(zip(names, scores[n].tolist(), strict=True))
        assert found[n].tolist() == [rank_of(name, held, names) for name in names]
        assert [names[i] for i in best[n]] == sorted(names, key=lambda name: rank_of(name, held, names))
        for column, group in enumerate(groups):
            own = [name for name in names if groups[int(name)] == group]
            assert within[n, column] == (rank_of(str(column), held, own) if group >= 0 else 0)


def rows_of(found, held, space=SPACE) -> pa.Table:
    rows = label_columns(found, held, space)
    return rows.append_column("category", pa.array([truth.category for truth in held], pa.string()))


@pytest.mark.parametrize("coarse", [True, False])
def test_columns_say_how_the_true_labels_rank(coarse):
    rng = np.random.default_rng(1)
    found, held = predictions(rng, 150, coarse=coarse), truths(rng, 150)
    for row, truth, expected in zip(rows_of(found, held).to_pylist(), held, judged_plainly(found, held), strict=True):
        assert row["category_rank"] == expected["category"]
        if truth.category in row["category_top"]:
            assert row["category_top"].index(truth.category) + 1 == expected["category"]
        told = row["attributes_true"] and dict(
            zip(
                row["attributes_true"],
                zip(row["attribute_ranks"], row["attribute_type_ranks"], strict=True),
                strict=True,
            )
        )
        assert (told or row["attributes_true"]) == (expected["attributes"] or truth.attributes)
        if expected["errors"] is None:
            assert row["landmark_errors"] is row["landmarks_true"] is None
            continue
        for error, wanted in zip(row["landmark_errors"], expected["errors"], strict=True):
            assert error == (None if wanted is None else pytest.approx(wanted, rel=1e-6))
        assert row["landmarks_true"][::3] == [visibility for visibility, _ in expected["seen"]]
        assert row["landmarks_predicted"][::3] == [guess for _, guess in expected["seen"]]
        for slot in range(8):
            if row["landmarks_true"][3 * slot] >= 0:
                x, y = (row["landmarks_true"][3 * slot + i] * truth.size[i - 1] for i in (1, 2))
                assert [x, y] == pytest.approx(truth.landmarks[3 * slot + 1 : 3 * slot + 3], abs=1e-3)


@pytest.mark.parametrize("coarse", [True, False])
def test_numbers_are_those_of_loops_over_images_for_any_shards(coarse):
    rng = np.random.default_rng(2)
    found, held = predictions(rng, 200, coarse=coarse), truths(rng, 200)
    rows, plain = rows_of(found, held), judged_plainly(found, held)
    whole = tally(rows)
    for cuts in ([], [1], [13, 13, 77], range(1, 200)):
        edges = [0, *cuts, 200]
        parts = [rows.slice(a, b - a) for a, b in pairwise(edges)]
        assert join_tallies([tally(part) for part in parts]) == whole
    measured = to_plain(label_measures(whole, categories=6, attributes=SPACE.attributes.names, types=TYPES))

    ranked = [row["category"] for row in plain if row["category"] is not None]
    assert measured["category"]["images"] == len(ranked) < 200
    assert measured["category"]["unknown"] == ranked.count(0) > 0  # a category that the network does not know: a miss
    for k in (1, 3, 5):
        assert measured["category"]["top"][str(k)] == sum(1 <= r <= k for r in ranked) / len(ranked)
    for group in measured["category"]["by_category"]:
        own = [r["category"] for r, t in zip(plain, held, strict=True) if t.category == group["name"]]
        assert group["images"] == len(own) and group["top"]["3"] == sum(1 <= r <= 3 for r in own) / len(own)

    present = [pair for row in plain for pair in (row["attributes"] or {}).items()]
    attributes = measured["attributes"]
    assert attributes["images"] == sum(row["attributes"] is not None for row in plain)
    assert attributes["positives"] == len(present) and attributes["choices"] == 22
    for k in (3, 5):
        assert attributes["recall"][str(k)] == sum(1 <= r <= k for _, (r, _) in present) / len(present)
    assert [row["name"] for row in attributes["by_type"]] == ["texture", "shape", "style"]
    for row in attributes["by_type"]:
        own = [within for name, (_, within) in present if TYPES.get(name) == row["name"]]
        assert row["positives"] == len(own)
        assert row["choices"] == sum(TYPES.get(name) == row["name"] for name in NAMES[1:])
        for k in (3, 5):
            assert row["recall"][str(k)] == sum(1 <= r <= k for r in own) / len(own)

    landmarks = measured["landmarks"]
    errors = [e for row in plain for e in row["errors"] or () if e is not None]
    seen = [pair for row in plain for pair in row["seen"] or ()]
    assert landmarks["images"] == sum(row["errors"] is not None for row in plain)
    assert landmarks["visible"] == len(errors) and landmarks["error"] == pytest.approx(np.mean(errors), rel=1e-6)
    assert landmarks["slots"] == np.mean([true == guess for true, guess in seen])
    assert landmarks["visibility"] == np.mean([true == guess for true, guess in seen if true >= 0])
    for slot, row in enumerate(landmarks["by_landmark"]):
        own = [r["errors"][slot] for r in plain if r["errors"] and r["errors"][slot] is not None]
        assert row["visible"] == len(own) and row["error"] == pytest.approx(np.mean(own), rel=1e-6)


def test_guesses_are_counted_as_answers_are():
    rng = np.random.default_rng(3)
    held = truths(rng, 300)
    rows = rows_of(predictions(rng, 300, coarse=False), held)
    counts = {name: int(count) for name, count in zip(NAMES, rng.permutation(len(NAMES)), strict=True)}
    sizes = dict.fromkeys(CATEGORIES, 1) | {"Tee": 9, "Dress": 5}
    found = tally(rows)
    shown = {"attributes": SPACE.attributes.names, "types": TYPES}
    measured = label_measures(found, categories=6, **shown)
    guessed = to_plain(guesses(measured, found, category_counts=sizes, attribute_counts=counts, **shown))
    known = [t.category for t in held if t.category]
    frequent = guessed["most frequent"]
    assert frequent["category"]["top"]["1"] == known.count("Tee") / len(known)
    assert frequent["category"]["top"]["3"] == sum(c in ("Tee", "Dress", "Anorak") for c in known) / len(known)
    positives = [name for t in held for name in t.attributes or ()]
    best = sorted(NAMES[1:], key=lambda name: -counts[name])  # the network does not know the first name
    assert frequent["attributes"]["recall"]["5"] == sum(p in best[:5] for p in positives) / len(positives)
    for row in frequent["attributes"]["by_type"]:
        own = [name for name in best if TYPES.get(name) == row["name"]][:3]
        mine = [p for p in positives if TYPES.get(p) == row["name"]]
        assert row["recall"]["3"] == sum(p in own for p in mine) / len(mine)
    assert guessed["chance"]["category"]["top"] == {"1": 1 / 6, "3": 3 / 6, "5": 5 / 6}
    assert guessed["chance"]["attributes"]["recall"]["3"] == 3 / 22


def test_what_is_not_annotated_or_has_no_name_in_common_is_not_counted():
    rng = np.random.default_rng(4)
    held = truths(rng, 20)
    strange = LabelSpace.of(VOCABULARY, table_manifest(categories=["Cape"], attributes=["odd"]))
    rows = rows_of(predictions(rng, 20, coarse=False), held, strange)
    assert set(to_plain(label_measures(tally(rows), categories=7, attributes=[], types={}))) == {"images", "landmarks"}
    # Yet the best are told.
    assert {name for top in rows["category_top"].to_pylist() for name in top} <= set(VOCABULARY.categories)
    none = Vocabulary(categories=(), attributes=())
    rows = rows_of(predictions(rng, 20, coarse=False, vocabulary=none), held, LabelSpace.of(none, MANIFEST))
    assert set(to_plain(label_measures(tally(rows), categories=0, attributes=[], types={}))) == {"images", "landmarks"}


def test_category_scores_are_of_unit_length_and_large_logits_do_no_harm():
    logits = np.array([[0.0, 1.0, 2.0], [1e4, -1e4, 0.0], [-50.0, -50.0, -50.0]], np.float32)
    found = category_scores(logits)
    for row, expected in zip(found.tolist(), logits.tolist(), strict=True):
        total = math.fsum(math.exp(x - max(expected)) for x in expected)
        assert row == pytest.approx([math.sqrt(math.exp(x - max(expected)) / total) for x in expected], rel=1e-6)
    np.testing.assert_allclose((found**2).sum(1), 1, rtol=1e-6)

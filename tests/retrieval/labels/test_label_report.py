"""The report's section on labels: what it prints, what it draws where, and that every string of it is escaped."""

from dataclasses import replace

import numpy as np
import pytest
from test_label_evaluation import N, evaluated, rows_of

from fashion.json_values import of_plain, to_plain
from fashion.retrieval.gate.comparison import LabelChange
from fashion.retrieval.gate.text import comparison_text
from fashion.retrieval.metrics_record import Metrics
from fashion.retrieval.report import Guess, LabelledPicture, Mark, label_examples, render_report
from fashion.retrieval.report.change import comparison_section, trend_rows
from fashion.retrieval.report.labels import labels_section
from tests.retrieval.report_pages import HOSTILE, METRICS, Page, full_report, jpeg, report_data


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return evaluated(tmp_path_factory.mktemp("shards"), rows_of(), np.arange(N) % 3)


def page_of(labels) -> Page:
    labelled = label_examples(labels.examples)
    images = {picture.image for pictures in labelled.values() for picture in pictures}
    data = report_data(
        METRICS | {"labels": to_plain(labels.metrics)},
        labelled=labelled,
        thumbnails=dict.fromkeys(images, jpeg(60, 80)),
    )
    return Page(render_report(data))


def test_every_number_stands_in_the_page_beside_those_of_guessing_and_the_published(labels):
    words = page_of(labels).words
    assert "FashionNet (2016) *" in words and "not comparable with this table" in words
    told = to_plain(labels.metrics)
    for number in (
        told["category"]["top"]["1"], told["attributes"]["recall"]["5"], told["landmarks"]["error"],
        told["landmarks"]["by_landmark"][3]["error"], told["attributes"]["by_type"][1]["recall"]["3"],
        told["baselines"]["most frequent"]["category"]["top"]["3"], 0.8258, 0.6643,
    ):  # fmt: skip
        assert f"{100 * number:.1f}%" in words
    for name in ("left collar", "right hem", "texture", "style", "Anorak", "Drawn at random", "Landmarks furthest off"):
        assert name in words
    assert "Labels" not in Page(render_report(full_report())).words  # a network that predicts none


def test_a_picture_shows_what_is_right_wrong_and_missed(labels):
    (row,) = rows_of().slice(0, 1).to_pylist()
    row |= {
        "category": "Dress", "category_rank": 2, "category_top": ["Tee", "Dress", "Jeans"],
        "attributes_true": ["red", "long", "dotted"], "attribute_top": ["red", "blue", "long"],
        "landmarks_true": [0, 0.1, 0.2, 1, 0.3, 0.4, -1, 0, 0, *[-1, 0, 0] * 5],
        "landmarks_predicted": [0, 0.5, 0.6, -1, 0, 0, 2, 0.7, 0.8, *[-1, 0, 0] * 5],
        "landmark_errors": [0.25, *[None] * 7],
    }  # fmt: skip
    examples = {"drawn": rows_of().slice(0, 1).from_pylist([row])}
    ((picture,),) = label_examples(examples).values()
    assert picture.categories == [
        Guess(name="Tee", right=False), Guess(name="Dress", right=True), Guess(name="Jeans", right=False),
    ]  # fmt: skip
    assert [guess.right for guess in picture.attributes] == [True, False, True] and picture.missed == ["dotted"]
    assert picture.error == 0.25
    assert picture.marks == [
        Mark(name="left collar", at=(0.5, 0.6), seen=True, true=(0.1, 0.2), visible=True),
        Mark(name="right collar", at=None, seen=False, true=(0.3, 0.4), visible=False),
        Mark(name="left sleeve", at=(0.7, 0.8), seen=False, true=None, visible=False),
    ]
    data = report_data(
        METRICS | {"labels": to_plain(labels.metrics)},
        labelled={"drawn": [picture]},
        thumbnails={picture.image: jpeg(60, 80)},
    )
    page = Page(render_report(data))
    guess, hidden = (mark for mark in page.all("circle", "guess") if "cx" in mark and "r" in mark and mark["r"] != "6")
    (true,) = (mark for mark in page.all("circle", "true") if mark["r"] != "6.5")
    assert (guess["cx"], guess["cy"]) == ("30.0", "48.0") and (true["cx"], true["cy"]) == ("6.0", "16.0")
    assert "hidden" in hidden["class"] and (hidden["cx"], hidden["cy"]) == ("42.0", "64.0")
    assert "annotated: Dress , ranked 2" in page.words and "also annotated: dotted" in page.words
    assert "mean landmark error 25.0%" in page.words


def test_what_is_not_annotated_is_not_marked(labels):
    picture = LabelledPicture(
        image="a.jpg", categories=[Guess(name="Tee", right=None)], attributes=[Guess(name="red", right=None)],
        marks=[Mark(name="left hem", at=(0.5, 0.5), seen=True, true=None, visible=False)],
    )  # fmt: skip
    data = report_data(METRICS | {"labels": to_plain(labels.metrics)}, labelled={"drawn": [picture]})
    page = Page(render_report(data))
    assert "category not annotated" in page.words and "attributes not annotated" in page.words
    assert not page.all("svg", "tiny") and len(page.all("li", "unjudged")) == 2


def test_every_string_is_escaped(labels):
    metrics = to_plain(labels.metrics) | {"split": HOSTILE}
    metrics["category"] = metrics["category"] | {
        "by_category": [row | {"name": HOSTILE} for row in metrics["category"]["by_category"]]
    }
    metrics["attributes"] = metrics["attributes"] | {
        "by_type": [row | {"name": HOSTILE} for row in metrics["attributes"]["by_type"]]
    }
    picture = LabelledPicture(
        image=HOSTILE, category=HOSTILE, category_rank=0, categories=[Guess(name=HOSTILE, right=False)],
        attributes=[Guess(name=HOSTILE, right=True)], missed=[HOSTILE], annotated=True,
        marks=[Mark(name=HOSTILE, at=(0.1, 0.1), seen=True, true=None, visible=False)],
    )  # fmt: skip
    data = report_data(METRICS | {"labels": metrics}, labelled={"drawn": [picture]})
    page = Page(render_report(data))
    assert not page.all("script") and not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    assert page.words.replace("</ script", "</script").count("<script>alert(1)</script>") >= 8


def test_many_categories_are_cut_and_counted():
    row = {"name": "x", "images": 1, "top": {"1": 0.0, "3": 0.0, "5": 0.0}}
    category = {"images": 40, "unknown": 0, "choices": 40, "top": {"1": 0.1}, "by_category": [row] * 40}
    labels = {"images": 40, "split": "test", "crop": "whole", "category": category, "baselines": {}}
    labels |= {"published": {"FashionNet (2016)": {}}, "comparable": False}
    section = labels_section(of_plain(Metrics, {"recall": {}, "labels": labels}), {})
    assert len(section["categories"]) == 24 and section["more"] == 16
    assert section["types"] == section["landmarks"] == section["groups"] == []


def test_comparison_and_history_tell_what_both_have(labels):
    comparison = full_report().metrics.comparison
    assert "labels" not in comparison_text(comparison)
    change = LabelChange(name="category top-1", before=0.5, after=0.25, difference=-0.25)
    comparison = replace(comparison, labels=[change])
    text = comparison_text(comparison)
    assert "category top-1" in text and "50.0%   25.0%  -25.0 points" in text and "does not look at them" in text
    (row,) = comparison_section(Metrics(recall={}, comparison=comparison))["labels"]
    assert row["change"] == "−25.0"
    told = labels.metrics.headline
    assert {"category top-1", "category top-5", "attributes recall@3", "landmark error"} <= set(told)
    rows = [{"created": None, "model": "m", "queries": 1, "gallery": 1, "recall@1": 0.5, "map": 0.1, "verdict": None}]
    assert trend_rows(rows, [1])["heads"] == ["recall@1", "mAP"]
    assert trend_rows([*rows, rows[0] | told], [1])["heads"] == ["recall@1", "mAP", "category top-1", "landmark error"]

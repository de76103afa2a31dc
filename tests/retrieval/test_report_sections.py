"""What the report says beside the numbers: change, history, groups, confusions; and how large it may grow."""

import io
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from report_pages import COMPARISON, METRICS, SMALL, Page, evaluated, full_report, report_data, row

from fashion.json_values import of_plain
from fashion.retrieval.gate.statistics import wilson
from fashion.retrieval.groups import GroupSummary
from fashion.retrieval.metrics_record import Metrics
from fashion.retrieval.report import (
    Hit,
    MapPoint,
    choose_rows,
    pictured,
    query_rows,
    render_report,
    report_content,
    with_categories,
)
from fashion.retrieval.report.change import comparison_section, trend_plot, trend_rows
from fashion.retrieval.report.confusions import confusion, thieves
from fashion.retrieval.report.groups import group_tables


def test_a_comparison_is_told_with_its_verdict_and_all_its_numbers():
    words = Page(render_report(full_report())).words
    for said in [
        "Worse: recall@1 fell by 4.0 points, more than chance and more than the tolerance of 1.",
        "Changed: gallery: 45,000 images before, 45,678 now; ranks are over different galleries",
        "recall@1 decides 65.0% 61.0% −4.0 −6.0 to −2.0 <0.001 fell 32 gained, 80 lost",
        "mAP 67.0% 68.0% +1.0 −1.0 to +3.0 0.210 no",
        "1,200 queries of 400 items that both evaluations hold; 10 were only there, 34 are only here",
    ]:
        assert said in words
    section = comparison_section(of_plain(Metrics, {"recall": {}, "comparison": COMPARISON}))
    assert [(r["from"], r["at"], r["to"]) for r in section["rows"]] == [(0.0, 16.67, 33.33), (41.67, 58.33, 75.0)]
    alone = report_data(METRICS)
    assert "accepted" not in Page(render_report(replace(full_report(), metrics=alone.metrics))).words
    assert comparison_section(alone.metrics) is None


def test_the_trend_tells_every_evaluation_and_lists_the_newest_first():
    rows = [evaluated(day) for day in range(1, 13)]
    plot = trend_plot(rows, [1, 5, 50])
    assert [line.name for line in plot.lines] == ["recall@1", "recall@5", "mAP"]
    assert [len(line.marks) for line in plot.lines] == [12, 12, 12]
    assert plot.lines[0].marks[-1][2] == "recall@1, evaluation of 12 Nov 2026: 62%"
    assert np.diff([x for x, *_ in plot.x_ticks]).min() >= 96
    listed = trend_rows(rows, [1, 5, 50])
    assert [r["date"] for r in listed["rows"]] == [f"{day} Nov 2026" for day in range(12, 4, -1)]
    assert listed["earlier"] == 4 and listed["heads"] == ["recall@1", "recall@5", "mAP"]
    assert trend_plot(rows[:1], [1]) is None
    one_day = [evaluated(1), evaluated(1, created="2026-11-01T04:30:00Z", map=None)]
    assert [r["date"] for r in trend_rows(one_day, [1])["rows"]] == ["04:30:00", "03:00:00"]
    assert [len(line.marks) for line in trend_plot(one_day, [1]).lines] == [2, 1]


def test_groups_have_intervals_and_one_group_alone_has_no_table():
    metrics = full_report().metrics
    (table,) = group_tables(metrics)
    assert table["title"] == "category" and [r["name"] for r in table["rows"]] == ["Dress", "T_Shirt"]
    assert [(r["low"], r["high"]) for r in table["rows"]] == [wilson(450, 900), wilson(167, 334)]
    assert max(r["high"] for r in table["rows"]) < table["scale"] <= 0.7
    assert "T_ Shirt 334 2 unmatched 50.0% 75.0% 60.0%" in Page(render_report(full_report())).words
    all_right = {"recall": {"1": 1.0, "5": 1.0}}
    everyone = replace(
        metrics, by_domains=[of_plain(GroupSummary, SMALL | {"name": n, "queries": 4} | all_right) for n in "ab"]
    )
    assert group_tables(everyone)[1]["scale"] == 1.0


def answers(seed: int, queries=200, categories=("Coat", "Dress", None, "T_Shirt")):
    """Queries whose first answers are drawn at random, some right."""
    rng = np.random.default_rng(seed)
    rows = []
    for q in range(queries):
        item, answer = f"i{q % 40}", f"i{rng.integers(12)}"
        hit = Hit(
            image=f"{answer}-{rng.integers(3)}", item=answer, score=float(rng.integers(9)) / 10, correct=answer == item,
            category=categories[int(answer[1:]) % len(categories)],
        )  # fmt: skip
        found = row(item, 1 if hit.correct else 3, top=[hit], category=categories[q % 40 % len(categories)])
        rows.append(replace(found, image=f"q{q:03}"))
    return rows


def test_thieves_are_counted_as_by_hand():
    rows = [*answers(0), row("nothing ranked", None, top=[])]
    found = thieves(rows, count=5, victims=4)
    stolen = {}
    for asked in rows:
        if asked.top and not asked.top[0].correct:
            stolen.setdefault(asked.top[0].item, []).append(asked)
    order = sorted(stolen, key=lambda item: (-len(stolen[item]), item))[:5]
    assert [thief.item for thief in found] == order
    for thief in found:
        robbed = stolen[thief.item]
        assert (thief.queries, thief.items) == (len(robbed), len({asked.item for asked in robbed}))
        images = [asked.top[0].image for asked in robbed]
        assert all(images.count(thief.image) >= images.count(other) for other in images)
        assert all(victim in robbed for victim in thief.victims) and len(thief.victims) == min(4, len(robbed))
        assert len({victim.item for victim in thief.victims}) == min(4, thief.items)
        assert thief.victims[0].top[0].score == max(asked.top[0].score for asked in robbed)
    assert thieves([row("a", 1)], count=5, victims=3) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 9])
def test_confusions_of_categories_are_counted_as_by_hand(limit):
    rows = answers(1)
    found = confusion(rows, limit=limit)
    names = [name for name in found.names if name != "all others"]
    assert len(names) in (limit, 4) and len(found.names) == (4 if limit >= 3 else limit + 1)
    fold = lambda name: (name or "no category") if (name or "no category") in names else "all others"  # noqa: E731
    for i, asked in enumerate(found.names):
        own = [r for r in rows if fold(r.category) == asked]
        assert found.counts[i] == len(own)
        for j, answer in enumerate(found.names):
            share = np.mean([fold(r.top[0].category) == answer for r in own])
            assert found.shares[i][j] == pytest.approx(share)


def test_there_is_no_matrix_where_categories_are_not_known_or_one():
    assert confusion([row("a", 1), row("b", 2)], limit=5) is None
    assert confusion(answers(0, categories=("Coat",)), limit=5) is None
    assert confusion([], limit=5) is None


def test_choosing_a_category_shows_more_of_its_queries():
    rows = [
        replace(row(f"{category}{i:02}", 1 + i % 30), category=category)
        for category, count in (("Coat", 60), ("Dress", 40), ("Shirt", 9), ("Rare", 2))
        for i in range(count)
    ]
    chosen = choose_rows(rows, 5, seed=0)
    shown = with_categories(chosen, rows, count=2, categories=3, seed=0)
    extras = [r for r in shown if r.extra]
    assert [r for r in shown if not r.extra] == sorted(chosen, key=lambda r: (r.rank, -r.average_precision))
    assert {r.category for r in extras} == {"Coat", "Dress", "Shirt"} and not {r.image for r in extras} & {
        r.image for r in chosen
    }
    shirts = {r.image for r in shown if r.category == "Shirt"}
    assert {r.image for r in choose_rows([r for r in rows if r.category == "Shirt"], 2, seed=0)} <= shirts
    assert [r.rank for r in shown] == sorted(r.rank for r in shown)
    html = render_report(replace(full_report(), queries=shown))
    assert ".row.extra, .queries:not(:has([id^=category]:checked))" in html
    hidden = [a for a in Page(html).all("article", "row") if "extra" in a["class"].split()]
    assert len(hidden) == len(extras)
    assert with_categories(rows[:10], rows[:10], count=2, categories=3, seed=0) == rows[:10]  # one category


def photograph(seed: int) -> bytes:
    """A thumbnail as heavy as those of photos: 5 kB."""
    noise = np.random.default_rng(seed).integers(0, 255, (28, 21, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((84, 112), Image.Resampling.BICUBIC).save(file, "JPEG", quality=80)
    return file.getvalue()


def test_ten_thousand_queries_make_a_page_under_5_megabytes():
    rng = np.random.default_rng(0)
    Q, K, categories = 10_000, 50, [f"Category_Number_{i:02}" for i in range(46)]
    rank = pa.array([int(r) if r < 900 else None for r in rng.geometric(0.02, Q)], pa.int64())
    items = [f"item_{i:08}" for i in rng.integers(4000, size=Q * K)]
    top = np.arange(0, Q * K + 1, K)
    nested = lambda values: pa.ListArray.from_arrays(pa.array(top, pa.int32()), pa.array(values))  # noqa: E731
    queries = pa.table(
        {
            "image": [f"img/CONSUMER/Folder/id_{q:08}/comsumer_{q % 7:02}.jpg" for q in range(Q)],
            "item": items[:Q],
            "domain": ["consumer"] * Q,
            "category": rng.choice(categories, Q).tolist(),
            "rank": rank,
            "average_precision": rng.random(Q),
            "top_images": nested([f"img/SHOP/Folder/{item}/shop_01.jpg" for item in items]),
            "top_items": nested(items),
            "top_scores": nested(rng.random(Q * K).astype(np.float32)),
            "top_correct": nested(rng.random(Q * K) < 0.02),
        }
    )
    kinds = {f"img/SHOP/Folder/item_{i:08}/shop_01.jpg": categories[i % 46] for i in range(4000)}
    groups = [SMALL | {"name": name, "queries": Q // 46} for name in categories]
    points = [
        MapPoint(x=x, y=y, image=f"map{i}", item=f"item_{i // 2:08}", domain=("consumer", "shop")[i % 2])
        for i, (x, y) in enumerate(rng.normal(size=(240, 2)))
    ]
    data = report_data(
        METRICS | {"queries": Q, "comparison": COMPARISON, "by_category": groups},
        trend=[evaluated(1 + day % 28) for day in range(365)],
        map_points=points,
        **report_content(queries, kinds, seed=0),
    )
    data = replace(data, thumbnails={image: photograph(i) for i, image in enumerate(pictured(data))})
    assert sum(map(len, data.thumbnails.values())) > 2_000_000  # there is something to fit
    html = render_report(data)
    assert len(html.encode()) < 5_000_000
    assert len(data.confusion.names) == 11 and sum(data.confusion.counts) == Q and len(data.thieves) == 10
    labels = [a["aria-label"] for a in Page(html).all("svg", "missing")]
    assert not [label for label in labels if label.startswith("query")]  # only the map goes without pictures, if any
    assert all(re.match(r"(consumer|shop) photo of item", label) for label in labels)


def test_rows_hold_the_head_of_each_ranking():
    lists = {"top_images": [list("abcdefg"), ["h"], []], "top_items": [list("ABCDEFG"), ["H"], []]}
    lists |= {"top_scores": [[0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], [0.9], []]}
    lists |= {"top_correct": [[False, True] + [False] * 5, [True], []]}
    about = {"image": ["x", "y", "z"], "item": ["B", "H", "Z"], "domain": ["consumer"] * 3}
    about |= {"category": ["Coat", None, None], "rank": [2, 1, None], "average_precision": [0.5, 1.0, 0.0]}
    queries = pa.table(about | lists)
    for table in (queries, pa.concat_tables([queries.slice(0, 1), queries.slice(1)])):
        first, second, third = query_rows(table, {"a": "Dress"})
        assert [hit.image for hit in first.top] == list("abcde") and [h.item for h in second.top] == ["H"]
        assert [hit.correct for hit in first.top] == [False, True, False, False, False] and third.top == []
        assert (first.top[0].category, first.top[1].category) == ("Dress", None)
        assert (first.rank, second.category, third.rank) == (2, None, None)

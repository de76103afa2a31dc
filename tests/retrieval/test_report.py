import base64
import copy
import re
from collections import Counter
from dataclasses import replace

from report_pages import HISTORY, HOSTILE, METRICS, Page, evaluated, full_report, jpeg, point, report_data, row

from fashion.json_values import to_plain
from fashion.retrieval.report import Confusion, Hit, MapPoint, QueryRow, Thief, render_report


def test_it_says_what_was_evaluated_and_how_well():
    words = Page(render_report(full_report())).words
    for said in [
        "Consumer to shop", "3 November 2026, 09:05 UTC", "gallery splits: test, val", "positives: item",
        "s3://catalogue/autumn", "51b0e6c2", "9f3ac2d1", "epoch: 12", "backbone: embnet", "Seed 7", "torch 2.15.0",
        "recall@1 61.2 %", "mAP 67.8 %", "queries 1,234", "gallery 45,678", "unmatched queries 3",
        "measure trained untrained colour histogram chance",
        "recall@5 85.3% 83.3 to 87.3 21.0% 25.0% 1.1%", "MRR 70.2% 68.0 to 72.0 15.0% 19.0% 1.5%",
    ]:  # fmt: skip
        assert said in words
    assert "crop" not in words  # a setting without a value


def test_it_needs_no_network_and_runs_no_script():
    page = Page(render_report(full_report()))
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "iframe", "img", "object", "base", "a"})
    for _, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src", "srcset", "xlink:href", "action"):
                assert value.startswith(("#", "data:image/jpeg;base64,"))
    html = render_report(replace(full_report(), thumbnails={}))
    assert not re.search(r"https?:|url\(|@import|//[a-z]", html.replace(METRICS["data"]["uri"], ""))
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_every_string_is_escaped():
    metrics = copy.deepcopy(to_plain(full_report().metrics))
    metrics["protocol"]["benchmark"] = metrics["data"]["uri"] = metrics["model"]["fingerprint"] = HOSTILE
    metrics["created"] = HOSTILE
    metrics["protocol"][HOSTILE] = metrics["versions"][HOSTILE] = metrics["model"]["network"][HOSTILE] = HOSTILE
    metrics["baselines"][HOSTILE] = metrics["baselines"]["chance"]
    rows = [
        QueryRow(
            image=HOSTILE, item=HOSTILE, domain=HOSTILE, category=HOSTILE, rank=1, average_precision=1.0,
            top=[Hit(image=HOSTILE, item=HOSTILE, score=1.0, correct=True)],
        ),
        row("harmless", 1),
    ]  # fmt: skip
    for group in metrics["by_category"]:
        group["name"] = HOSTILE
    comparison = metrics["comparison"]
    comparison["changed"], comparison["against"] = [HOSTILE], dict.fromkeys(comparison["against"], HOSTILE)
    data = report_data(
        metrics,
        history=HISTORY,
        queries=rows,
        thieves=[Thief(item=HOSTILE, image=HOSTILE, category=HOSTILE, queries=1, items=1, victims=rows)],
        confusion=Confusion(names=[HOSTILE, "b"], counts=[1, 1], shares=[[1, 0], [0, 1]]),
        trend=[dict.fromkeys(evaluated(1), HOSTILE) | dict.fromkeys(("recall@1", "recall@5", "map"), 0.5)] * 2,
        map_points=[MapPoint(x=0, y=0, image=HOSTILE, item=HOSTILE, domain=HOSTILE, category=HOSTILE)],
    )
    page = Page(render_report(data))
    known = Page(render_report(full_report()))
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in known.elements}
    assert {name for _, a in page.elements for name in a} <= {name for _, a in known.elements for name in a}
    assert page.words.count("<script>") >= 22
    assert "{{ 7 * 7 }}" in page.words and "&amp;" in page.words
    assert any(a.get("aria-label") == f"query: {HOSTILE} photo of item {HOSTILE} (no picture)" for a in page.all("svg"))


def test_a_picture_is_stored_once_and_shown_wherever_it_belongs():
    data = full_report()
    page = Page(render_report(data))
    stored = [a["href"] for a in page.all("image")]
    encoded = {f"data:image/jpeg;base64,{base64.b64encode(b).decode()}": name for name, b in data.thumbnails.items()}
    assert sorted(encoded[uri] for uri in stored) == sorted(data.thumbnails)
    place = {a["id"]: encoded[uri] for a, uri in zip(page.all("symbol"), stored, strict=False)}
    uses = Counter(place[a["href"][1:]] for a in page.all("use") if a["href"][1:] in place)
    uses.subtract(list(data.thumbnails))  # enlarged
    assert all(uses[f"shop{i}"] == 4 for i in range(2, 6)) and uses["shop1"] == 5  # four rows, and a thief
    assert [uses[query.image] for query in data.queries] == [1, 2, 2, 1]  # two of them are the thief's victims
    assert all(uses[p.image] in (1, 2) for p in data.map_points)  # when pointed at, and where there is room


def test_every_picture_in_a_row_is_enlarged_by_a_button_of_its_own():
    data = full_report()
    html = render_report(data)
    page = Page(html)
    large = {a["id"] for a in page.all("div", "enlarged") if "popover" in a}
    assert len(large) == len(data.thumbnails) == len(page.all("image"))
    buttons = re.findall(r'<button class="enlarge" popovertarget="large(\d+)"><svg [^>]*><use href="#p(\d+)"', html)
    assert len(buttons) == len(page.all("button", "enlarge")) > len(data.queries) * 5
    assert all(opened == shown and f"large{opened}" in large for opened, shown in buttons)
    for number, inside in re.findall(r'popover id="large(\d+)">(.*?)</div>', html):
        assert f'popovertarget="large{number}" aria-label="close"' in inside and f'href="#p{number}"' in inside
    assert "photo of one" in page.words  # an enlarged picture says which it is
    bare = Page(render_report(replace(data, thumbnails={})))
    assert not bare.all("button")  # nothing to enlarge


def test_the_headline_is_the_benchmark_or_a_users_own_table():
    def headline(benchmark: str, data: dict) -> str:
        metrics = METRICS | {"protocol": {"benchmark": benchmark}, "data": data}
        return re.search("<h1>(.*)</h1>", render_report(report_data(metrics)))[1]

    assert headline("in-shop", {"uri": "s3://bucket/tables/in-shop"}) == "In shop"
    assert headline("manifest", {"uri": "s3://bucket/tables/Autumn 2026"}) == "Autumn 2026"
    assert headline("manifest", {"uri": "/data/shops/été/"}) == "été"
    assert headline("manifest", {"uri": "s3://bucket"}) == "bucket"
    assert headline("manifest", {}) == "Manifest"


def test_pictures_are_named_and_those_not_there_say_so():
    page = Page(
        render_report(replace(full_report(), thumbnails={"shop1": jpeg(), "shop2": b"not a JPEG", "shop3": b""}))
    )
    photos = page.all("svg", "photo")
    assert all(a["role"] == "img" and a["aria-label"] for a in photos)
    assert {a["aria-label"] for a in photos if "missing" not in a["class"]} == {
        "right: item one",
        "wrong: item other1",
        "item a_thief, which comes first wrongly",
    }
    assert all(a["aria-label"].endswith("(no picture)") for a in photos if "missing" in a["class"])
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in page.all("svg"))


def test_it_stays_under_5_megabytes_by_leaving_out_map_pictures():
    data = full_report()
    points = [point(f"item{i}", "shop", i % 17, i % 13) for i in range(300)]
    images = [*data.thumbnails, *(p.image for p in points)]
    html = render_report(replace(data, map_points=points, thumbnails={i: jpeg() + bytes(60_000) for i in images}))
    assert 4_000_000 < len(html.encode()) < 5_000_000
    missing = [a["aria-label"] for a in Page(html).all("svg", "missing")]
    assert missing and all(re.match(r"shop photo of item item\d+ \(no picture\)", name) for name in missing)


def test_rows_are_grouped_by_what_came_of_them_and_marked_with_more_than_colour():
    html = render_report(full_report())
    groups = {
        title: part
        for title, part in re.findall(r"<h3>(Best|In between|Worst) <span>(.*?)(?=<h3>|</main>)", html, re.DOTALL)
    }
    assert {title: re.findall(r'<b title="[^"]*">(\w+)</b>', part) for title, part in groups.items()} == {
        "Best": ["one"],
        "In between": ["two"],
        "Worst": ["three", "four"],
    }
    badges = {title: re.findall(r"#(tick|cross)", part) for title, part in groups.items()}
    assert badges["Best"] == ["tick", "cross", "cross", "cross", "cross"]
    assert badges["In between"] == ["cross", "cross", "tick", "cross", "cross"]
    assert badges["Worst"] == ["cross"] * 10
    words = Page(html).words
    assert "rank 41" in words and "no match in the gallery AP" in words


def test_each_category_can_be_shown_alone():
    html = render_report(full_report())
    page = Page(html)
    assert [a.get("id") for a in page.all("input")] == [None, "category1", "category2", "category3"]
    assert "all Coat Dress no category" in page.words
    classes = [a["class"] for a in page.all("article", "row")]
    assert classes == ["row c2", "row c1", "row c2", "row c3"]
    for number in (1, 2, 3):
        assert f".queries:has(#category{number}:checked) .row:not(.c{number}) {{ display: none; }}" in html


def test_the_map_holds_every_point_and_ties_those_of_an_item():
    points = [
        point("a", "consumer", 0, 0),
        point("a", "shop", 4, 2),
        point("b", "shop", 2, 1),
        point("a", "consumer", 0, 2),
    ]
    page = Page(render_report(report_data(METRICS, map_points=points)))
    marks = [(a["class"].split()[1], a["style"]) for a in page.all("div", "mark")]
    assert marks == [
        ("consumer", "left:4.00%;top:96.00%"),
        ("shop", "left:96.00%;top:4.00%"),
        ("consumer", "left:4.00%;top:4.00%"),
        ("shop", "left:50.00%;top:50.00%"),
    ]
    middle = "M34.67 34.67L"
    ties = [a["d"] for a in page.all("path") if a["d"].startswith("M34")]
    assert ties == [f"{middle}4.00 96.00{middle}96.00 4.00{middle}4.00 4.00"]
    assert len(page.all("svg", "ties")) == 1


def test_training_charts_show_what_the_history_has():
    page = Page(render_report(full_report()))
    charts = [a["aria-label"] for a in page.all("svg", "chart") if " at epoch " in a["aria-label"]]
    assert charts == [
        "Validation recall. recall@1: 20% at epoch 1, 50% at epoch 3; recall@10: 40% at epoch 1, 75% at epoch 3.",
        "Loss. loss: 2.5 at epoch 1, 1.25 at epoch 3.",
        "Active triplets. active: 90% at epoch 1, 60% at epoch 3.",
        "Learning rate. rate: 0.0001 at epoch 1, 0.0002 at epoch 3.",
    ]


def test_the_recall_curve_compares_all_systems():
    charts = Page(render_report(full_report())).all("svg", "chart")
    chart = next(a["aria-label"] for a in charts if a["aria-label"].startswith("Recall at k"))
    assert chart == (
        "Recall at k. trained: 61.2% at k 1, 98.1% at k 50; untrained: 9% at k 1, 60% at k 50; "
        "colour histogram: 12% at k 1, 62% at k 50; chance: 0.2% at k 1, 11% at k 50."
    )


def test_what_there_is_nothing_of_has_no_section():
    metrics = {key: METRICS[key] for key in ("queries", "gallery", "unmatched_queries", "recall", "map", "mrr")}
    history = [{"epoch": 1, "loss": float("nan"), "recall": {}}]
    page = Page(render_report(report_data(metrics | {"protocol": {"benchmark": "in-shop"}}, history=history)))
    assert len(page.all("h2")) == 1
    assert "Training" not in page.words and "untrained" not in page.words

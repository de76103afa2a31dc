"""The gate's comparison on made-up evaluations whose truth is known."""

import numpy as np
import pyarrow as pa
import pytest

from fashion.errors import InputError
from fashion.json_values import of_plain
from fashion.retrieval.gate.compare import check_metric, compare
from fashion.retrieval.gate.earlier import Scored, ScoredMetrics
from fashion.retrieval.gate.text import comparison_text, verdict_sentence
from fashion.retrieval.settings import GateSettings

PROTOCOL = {"benchmark": "in-shop", "gallery_splits": ["test"], "ranking": "image"}
FAST = GateSettings(draws=1000)


def scored(ranks, *, images=None, items=None, r_precision=True, **metrics) -> Scored:
    """An evaluation of queries with these ranks (None: no match), each of an item of its own if not said."""
    Q = len(ranks)
    images = [f"q{i:05}" for i in range(Q)] if images is None else images
    hits = [1 / rank if rank else 0.0 for rank in ranks]
    columns = {"image": images, "item": images if items is None else items, "rank": pa.array(ranks, pa.int64())}
    columns |= {"average_precision": hits} | ({"r_precision": hits} if r_precision else {})
    told = {"recall": {"1": 0, "5": 0}, "protocol": PROTOCOL, "queries": Q, "gallery": 100, "gallery_set": "g"}
    told |= {"query_set": "q", "model": {"fingerprint": "m"}, "created": "2026-01-01T00:00:00Z"}
    return Scored(uri="there/metrics.json", metrics=of_plain(ScoredMetrics, told | metrics), queries=pa.table(columns))


def run(before, after, tolerance=0.0, settings=FAST):
    return compare(before, after, settings, tolerance=tolerance)


def measure(found, name):
    return next(row for row in found.measures if row.name == name)


def test_numbers_are_those_of_the_pairs_by_brute_force():
    rng = np.random.default_rng(0)
    before, after = ([int(r) if r <= 30 else None for r in rng.integers(1, 34, 200)] for _ in range(2))
    order = rng.permutation(200)
    names = np.array([f"q{i}" for i in range(200)])
    found = run(scored(before, images=names), scored([after[i] for i in order], images=names[order]))
    for k in (1, 5):
        hit = [[rank is not None and rank <= k for rank in side] for side in (before, after)]
        row = measure(found, f"recall@{k}")
        assert row.before == pytest.approx(np.mean(hit[0])) and row.after == pytest.approx(np.mean(hit[1]))
        assert row.lost == sum(b and not a for b, a in zip(*hit, strict=True))
        assert row.gained == sum(a and not b for b, a in zip(*hit, strict=True))
    for name in ("map", "mrr", "r_precision"):
        change = np.mean([1 / r if r else 0 for r in after]) - np.mean([1 / r if r else 0 for r in before])
        assert measure(found, name).difference == pytest.approx(change)
        low, high = measure(found, name).interval
        assert low < change < high
    assert [row.name for row in found.measures] == ["recall@1", "recall@5", "map", "r_precision", "mrr"]


def test_a_photo_of_several_garments_is_compared_garment_by_garment():
    """Evaluations of before gave both the photo's id."""
    now = scored([1, 2, 3], images=["a", "a#2", "b"], items=["shirt", "skirt", "hat"])
    assert run(now, now).queries == 3
    old = [scored(ranks, images=["a", "a", "b"], items=items) for ranks, items in (
        ([1, 2, 3], ["shirt", "skirt", "hat"]), ([2, 1, 3], ["skirt", "shirt", "hat"]),
    )]  # fmt: skip
    found = run(*old)
    assert found.queries == 3 and measure(found, "mrr").difference == 0


def test_only_a_sure_fall_beyond_the_tolerance_is_worse():
    good, bad = [1] * 1000, [2] * 60 + [1] * 940
    assert run(scored(good), scored(bad), 0.05).verdict == "worse"
    assert run(scored(good), scored(bad), 0.06).verdict == "a little worse"  # exactly the tolerance
    assert run(scored(bad), scored(good), 0.0).verdict == "better"
    assert run(scored(good), scored(good), 0.0).verdict == "no difference"
    # Three of forty: a large fall, and no surer than 1 in 4.
    found = run(scored([1] * 40), scored([2] * 3 + [1] * 37), 0.01)
    assert found.verdict == "no difference" and measure(found, "recall@1").p == pytest.approx(0.25)


def test_the_gate_can_look_at_another_measure():
    before, after = scored([1] * 500 + [3] * 500), scored([1] * 500 + [9] * 500)
    assert run(before, after).verdict == "no difference"
    for metric in ("recall@5", "recall@7", "map", "mrr", "r_precision"):
        assert run(before, after, 0.01, GateSettings(metric=metric, draws=1000)).verdict == "worse", metric
    assert "recall@7" not in [row.name for row in run(before, after).measures]


@pytest.mark.parametrize("photos", [1, 8])
def test_two_equal_networks_are_told_apart_no_oftener_than_alpha(photos):
    """Type-I error, with one photo an item and with eight that succeed and fail together."""
    rng = np.random.default_rng(5)
    trials, items = 400, 120
    names = np.repeat([f"i{i}" for i in range(items)], photos)
    images = [f"q{i:05}" for i in range(items * photos)]
    alarms = {"recall@1": 0, "any": 0}
    for trial in range(trials):
        sides = []
        for _ in range(2):
            hit = np.repeat(rng.random(items) < 0.5, photos)
            odd = rng.random(items * photos) < 0.1  # a photo that is unlike its item's others
            sides.append(scored(np.where(hit ^ odd, 1, 2).tolist(), images=images, items=names))
        found = run(*sides, settings=GateSettings(draws=300, seed=trial))
        alarms["recall@1"] += found.verdict != "no difference"
        alarms["any"] += any(row.moved != "none" for row in found.measures[1:])
    assert alarms["recall@1"] <= 0.05 * trials + 2 * np.sqrt(trials * 0.05 * 0.95)
    assert alarms["any"] <= 0.05 * trials + 2 * np.sqrt(trials * 0.05 * 0.95)
    assert alarms["recall@1"] > 0  # it is not that nothing ever is an alarm


def test_photos_of_one_item_count_as_one_witness():
    """Eight items of fifty photos: all the photos of three of them are lost."""
    ranks = np.repeat([2, 2, 2, 1, 1, 1, 1, 1], 50).tolist()
    items = np.repeat([f"i{i}" for i in range(8)], 50)
    alone = run(scored([1] * 400), scored(ranks))
    together = run(scored([1] * 400, items=items), scored(ranks, items=items))
    assert measure(alone, "recall@1").p < 0.003 < 0.03 < measure(together, "recall@1").p


def test_a_real_fall_is_found():
    """Power: 5 points of 2,000 queries, with noise of 10 % each way, are found nearly always."""
    rng = np.random.default_rng(9)
    found = 0
    for trial in range(30):
        hit = rng.random(2000) < 0.7
        flipped = rng.random(2000) < np.where(hit, 0.10 + 0.075, 0.10 / 3)
        after = np.where(hit ^ flipped, 1, 2).tolist()
        settings = GateSettings(draws=300, seed=trial)
        found += run(scored(np.where(hit, 1, 2).tolist()), scored(after), 0.01, settings).verdict == "worse"
    assert found >= 29


def test_what_else_changed_is_said_and_common_queries_are_compared():
    before = scored([1, 1, 2, 5], images=["a", "b", "c", "d"], query_set="x")
    after = scored(
        [1, 7, 2, 1], images=["d", "c", "b", "new"], query_set="y", gallery=120, gallery_set="h",
        protocol=PROTOCOL | {"gallery_splits": ["val", "test"], "crop": "box"},
    )  # fmt: skip
    found = run(before, after)
    assert (found.queries, found.only_before, found.only_after) == (3, 1, 1)
    assert measure(found, "recall@1").before == pytest.approx(1 / 3)  # b, c and d: 1, 2, 5 and then 2, 7, 1
    assert measure(found, "mrr").after == pytest.approx((1 / 2 + 1 / 7 + 1) / 3)
    assert found.changed == [
        "protocol: gallery_splits was test, is val, test",
        "protocol: crop was not set, is box",
        "queries: 4 images before, 4 now, other ones",
        "gallery: 100 images before, 120 now; ranks are over different galleries",
    ]
    text = comparison_text(found)
    assert all(f"changed: {sentence}" in text for sentence in found.changed)
    assert "3 queries of 3 items in both; 1 only there, 1 only here" in text
    assert run(scored([1]), scored([1])).changed == []


def test_older_evaluations_lack_r_precision_and_the_sets():
    older = scored([1, 2, 3], r_precision=False, query_set=None, gallery_set=None, created=None)
    found = run(older, scored([1, 2, 3]))
    assert "r_precision" not in [row.name for row in found.measures] and found.changed == []
    check_metric(older, FAST)
    with pytest.raises(InputError, match=r"gate.metric: found r_precision, which there/metrics.json does not have"):
        check_metric(older, GateSettings(metric="r_precision"))


def test_the_text_says_the_verdict_and_its_reason():
    found = run(scored([1] * 1000), scored([2] * 60 + [1] * 940), 0.01)
    text = comparison_text(found)
    assert text.endswith("* worse: recall@1 fell by 6.0 points, more than chance and more than the tolerance of 1")
    row = next(line for line in text.splitlines() if line.startswith("recall@1 *"))
    assert row.split()[2:5] == ["100.0%", "94.0%", "-6.0"] and row.split()[-1] == "fell"
    assert next(line for line in text.splitlines() if line.startswith("recall@5")).split()[-1] == "no"
    assert verdict_sentence(run(scored([1]), scored([1]))).startswith("no difference: recall@1 changed by +0.0 points")


def test_settings_and_strangers_are_refused():
    for wrong, said in {
        "recall@0": "recall@K",
        "precision": "recall@K",
    }.items():
        with pytest.raises(InputError, match=f"gate.metric: found '{wrong}', expected {said}"):
            GateSettings(metric=wrong)
    with pytest.raises(InputError, match=r"gate.alpha: found 0"):
        GateSettings(alpha=0)
    with pytest.raises(InputError, match=r"gate.draws: found 5"):
        GateSettings(draws=5)
    with pytest.raises(InputError, match="none of its 2 queries is among the 1 of this evaluation"):
        run(scored([1, 1]), scored([1], images=["stranger"]))

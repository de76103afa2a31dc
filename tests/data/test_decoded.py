"""Decoded pictures that a feed keeps: the same batches, decoded once."""

from dataclasses import replace

import numpy as np
import pytest

from fashion.data.decoded import DecodedPictures
from fashion.data.feed import Feed, FeedSettings
from fashion.data.plan import Plan
from fashion.data.rows import ItemGroup
from fashion.storage import Store
from tests.catalogues import make_table, photos

SETTINGS = FeedSettings(views=2, size=16, slots=1, crop="whole", pairs=False)
PICTURE = 3 * 16 * 16  # bytes


@pytest.mark.parametrize(("limit", "decoded"), [(0, [0, 1, 2, 0, 1, 2]), (25, [0, 1, 2, 1, 2]), (1000, [0, 1, 2])])
def test_the_first_that_fit_are_decoded_once(limit, decoded):
    asked = []

    def decode(number):
        asked.append(number)
        return np.full(20, number, np.uint8)

    kept = DecodedPictures(limit)
    for number in (0, 1, 2, 0, 1, 2):
        assert (kept.get(number, lambda number=number: decode(number)) == number).all()
    assert asked == decoded and kept.bytes <= limit


@pytest.mark.parametrize("room", [0, 10, 1000])
def test_a_feed_gives_the_same_batches_whatever_it_keeps(tmp_path, monkeypatch, room):
    """Two shards, so that pictures of the same place in two row groups could be taken for one another."""
    table = make_table(Store(tmp_path), photos(40, splits=("train",)), shards=2)
    plan = Plan.of(table.shards("train"), items_per_step=8, seed=0)
    count, pixels = [], ItemGroup.pixels
    monkeypatch.setattr(ItemGroup, "pixels", lambda *a, **k: count.append(1) or pixels(*a, **k))

    def batches(cache):
        feed = Feed(table, plan, replace(SETTINGS, cache=cache))
        return [row for epoch in range(6) for t in range(plan.tickets()) for row in feed.rows(plan.ticket(epoch, t))]

    for kept, plain in zip(batches(room * PICTURE), batches(0), strict=True):
        assert all(np.array_equal(kept[name], plain[name]) for name in plain)
    asked = 6 * plan.steps * 8 * 2
    spared = 2 * asked - len(count)
    assert spared == 0 if room == 0 else 0 < spared <= asked - min(room, 80)
    assert room != 1000 or len(count) - asked <= 120  # no picture twice

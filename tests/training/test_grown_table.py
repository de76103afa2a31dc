"""A table that has grown by a layer and lost items, trained on from end to end: all of today's items, and no other."""

from collections import Counter
from dataclasses import replace

from fashion.data.table import ItemTable
from fashion.storage import Store
from fashion.training.settings import BatchSettings
from tests.data.shop import Shop, images, rows
from tests.training import test_steps_resume as running

SETTINGS = replace(running.SETTINGS, batch=BatchSettings(items=running.ITEMS, crop="whole"))


def test_a_grown_table_is_trained_on_and_a_broken_off_run_goes_on(tmp_path, monkeypatch):
    shop = Shop(Store(tmp_path / "shop"), monkeypatch)
    listed = rows(shop, range(80))
    shop.list(listed)
    shop.prepare()
    listed = [*listed[6:], *rows(shop, range(100, 104))]  # three items have left, four are new
    shop.list(listed)
    grown = shop.prepare(rewrite_images=0)
    assert grown.gone and any(shard.get("layer") for shard in grown.plan["shards"])

    table, plan = ItemTable(grown.store), running.plan_of(grown)
    today = images(table).values()
    train = {row["item"] for row in today if row["split"] == "train"}
    assert plan.items == len(train) > running.ITEMS
    seen = Counter()
    for row in running.rows(table, plan, 0):
        seen.update(row["label"].flatten().tolist())
    assert set(seen) == set(range(len(train)))  # and the last step of an epoch is filled up
    assert sum(seen.values()) == running.EPOCHS * plan.steps * running.ITEMS

    whole = running.train(running.make(table, plan, SETTINGS), table, keep=tmp_path / "kept")
    queries = sum(row["split"] == "val" and row["role"] == "query" for row in today)
    assert [row.queries for row in whole.history] == [queries] * running.EPOCHS and queries
    step = plan.steps + 1
    again = running.resumed(tmp_path / "kept" / str(step), table, SETTINGS)
    running.assert_same(running.end(running.train(again, table, first=step)), running.end(whole))

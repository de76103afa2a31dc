"""A table of many shards, which lists them beside its manifest: the same to every reader, and to prepare, as one that does
not; and a driver that plans over it needs no more memory than over a short one."""

import pickle

import pytest

from fashion.data import shard_list
from fashion.data.plan import Plan
from fashion.data.table import ItemTable, SplitShards
from fashion.errors import InputError
from fashion.storage import Store
from tests.benchmarks.plan_memory import measured
from tests.data.shop import Shop, images, rows

GROW = {"rewrite_images": 0}


@pytest.fixture
def shops(tmp_path, monkeypatch):
    """Two of the same, of which one always lists its shards in a file."""
    made = [Shop(Store(tmp_path / name), monkeypatch) for name in ("short", "long")]
    held: dict[tuple[Shop, int], list[str]] = {}

    def prepare(listed: range, **changes) -> list[ItemTable]:
        tables = []
        for shop, many in zip(made, (10_000, 0), strict=True):
            monkeypatch.setattr(shard_list, "MANY", many)
            for i in listed:
                if (shop, i) not in held:  # a picture that is written again counts as another
                    held[shop, i] = rows(shop, range(i, i + 1))
            shop.list([row for i in listed for row in held[shop, i]])
            tables.append(shop.prepare(**changes))
        return tables

    return prepare


def planned(table: ItemTable) -> list[tuple]:
    """Of each shard, but for the times of its pictures."""
    return [(s["name"], s["start"], s["annotations"], s.get("gone")) for s in table.plan["shards"]]


def same(short: ItemTable, long: ItemTable) -> None:
    assert long.manifest.lists and long.manifest.shards is None and long.manifest.plan is None
    assert not short.manifest.lists
    assert long.fingerprint == short.fingerprint and long.splits == short.splits
    for split in short.splits:
        assert long.shards(split) == short.shards(split) and short.shards(split)
    assert long.shards(*long.splits) == short.shards(*short.splits)
    assert planned(long) == planned(short)
    assert images(long) == images(short)
    assert pickle.loads(pickle.dumps(long)).gone == short.gone
    plans = [Plan.of(SplitShards(table, "train"), items_per_step=4, seed=0) for table in (short, long)]
    assert plans[0] == plans[1]


def test_a_long_table_is_read_and_grown_as_a_short_one(shops):
    short, long = shops(range(120))
    same(short, long)
    short, long = shops(range(2, 123), **GROW)  # a layer, and items that are gone
    assert short.gone
    same(short, long)
    assert set(long.store.names("lists")) == set(vars(long.manifest.lists).values())  # those of before are not kept
    same(*shops(range(2, 123), **GROW))


def test_a_table_that_becomes_short_again_lists_its_shards_in_the_manifest(shops, monkeypatch):
    _, long = shops(range(60))
    monkeypatch.setattr(shard_list, "MANY", 10_000)
    shop = Shop(Store(long.store.uri.removesuffix("/table")), monkeypatch)
    shop.list(rows(shop, range(50)))
    table = shop.prepare()
    assert not table.manifest.lists and not table.store.names("lists")
    assert {row["item"] for row in images(table).values()} == {str(i) for i in range(50)}


def test_a_list_that_is_damaged_or_gone_is_said(shops):
    _, long = shops(range(30))
    name = long.manifest.lists.shards
    whole = long.store.read(name)
    long.store.write(name, whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is damaged"):
        ItemTable(long.store).shards("train")
    long.store.delete(name)
    with pytest.raises(InputError, match="prepared anew while it was read"):
        ItemTable(long.store).shards("train")
    with pytest.raises(InputError, match="no other images; the table has"):
        long.store.write(name, whole)
        ItemTable(long.store).shards("other")


def test_a_driver_takes_the_memory_of_a_million_items_for_two_hundred_millions():
    few, many = (measured(items, 10_000, on_ray=False) for items in (10**6, 2 * 10**8))
    assert many["peak"] < 1.2 * few["peak"]

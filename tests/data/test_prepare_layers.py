"""A table that grows by layers of shards against one prepared anew from the same source: the same items, pictures and
counts, whatever came before; and what is read, written and merged on the way."""

import pickle
import random
from collections import Counter
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest
from catalogues import embed_here, embedder, jpeg, make_run, picture

from fashion.data.feed import Feed, FeedSettings
from fashion.data.plan import Plan
from fashion.data.prepare import layers
from fashion.data.prepare.join import MISSING, NOWHERE, Side, join
from fashion.data.prepare.pack import ShardPacker
from fashion.data.prepare.run import TooManyBadPictures, prepare
from fashion.data.rows import flatten
from fashion.data.settings import TableSettings
from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.retrieval.carry import Earlier
from fashion.retrieval.embeddings import read_embeddings
from fashion.storage import Store
from tests.data.shop import Shop, hash_of, images, quarantined, rows, state

GROW = {"rewrite_images": 0}
COUNTED = ("counts", "quarantined", "duplicates", "splits", "categories", "domains", "labels", "category_counts")

ONE_STORE = pytest.mark.parametrize("shop", ["local"], indirect=True)  # where the store plays no part


def anew(shop: Shop, folder, **changes) -> ItemTable:
    """What the source gives today, without a past."""

    out, settings = Store(folder), TableSettings(**{**vars(TableSettings(benchmark="manifest")), "shard_images": 20})
    settings = TableSettings(**{**vars(settings), "holdout": 0.2, **changes})
    return prepare(shop.source, out, settings, warn=lambda _: None, progress=lambda *_: None)


def same_as_anew(table: ItemTable, fresh: ItemTable) -> None:
    """Every reader's view of both."""
    assert images(table) == images(fresh)
    for name in COUNTED:
        mine, theirs = (getattr(t.manifest, name) for t in (table, fresh))
        if name in ("counts", "splits"):  # a layer's files hold what is gone too
            mine, theirs = (without_bytes(counts) for counts in (mine, theirs))
        assert mine == theirs, name
    for split in table.manifest.splits:
        shards = table.shards(split)
        held = Counter()
        for shard in shards:
            groups = [table.read(shard.name, i) for i in range(len(shard.groups))]
            assert [group.num_rows for group in groups] == list(shard.groups) and min(shard.groups) > 0
            assert sum(shard.groups) == shard.items == table.read(shard.name, columns=["item"]).num_rows
            assert sum(flatten(group).num_rows for group in groups) == shard.images
            assert table.read(shard.name, columns=["images.list.element.domain"]).column_names == ["images"]
            held.update(item for group in groups for item in group["item"].to_pylist())
        assert max(held.values()) == 1  # an item is one row of the table
        assert held.keys() == {item for s in fresh.shards(split) for item in fresh.read(s.name)["item"].to_pylist()}


def without_bytes(counts: dict) -> dict:
    return {k: without_bytes(v) if isinstance(v, dict) else v for k, v in counts.items() if k != "bytes"}


def test_a_day_of_new_changed_replaced_and_deleted_pictures_packs_these_alone(shop, tmp_path):
    listed = rows(shop, range(120))
    shop.list(listed)
    first = shop.prepare()
    before = {s.name: s for s in first.manifest.shards}
    files = state(shop.out)

    today = [*listed[4:], *rows(shop, range(200, 203)), f"{shop.picture('more.jpg')},50,consumer"]
    today[10] = today[10].replace(",shop", ",consumer")
    shop.picture("consumer/60-1.jpg", seed=1)
    shop.list(today)
    second = shop.prepare(**GROW)
    # 200..202, the item of the changed row, the one with another picture, the one that has one more
    assert shop.notes[-1].startswith("annotations changed: 7 images added, 4 removed, 1 changed; pictures replaced")
    assert "names: 1;" in shop.notes[-1] and "items that left them being listed as gone" in shop.notes[-2]
    new = [*(r.split(",")[0] for r in [*today[-7:], today[10]]), "consumer/60-1.jpg"]
    assert set(shop.read) == set(new) and max(shop.read.values()) == 1
    assert len(shop.packed) == len({name.split("/")[0] for name in shop.packed}) <= 3  # a small shard a split
    names = {s.name for s in second.manifest.shards}
    assert names - set(before) == set(shop.packed) and not set(before) - names
    after = state(shop.out)
    assert {
        name for name in files if name.startswith(("items/", "digests/", "stats/")) and after[name] != files[name]
    } == set()
    assert second.fingerprint != first.fingerprint and second.manifest.format == 3 and first.manifest.format == 2
    same_as_anew(second, anew(shop, tmp_path / "anew"))

    files = state(shop.out)
    third = shop.prepare(**GROW)
    assert third.fingerprint == second.fingerprint and not shop.packed and not shop.read and state(shop.out) == files
    shop.list(listed)  # what left comes back, and what came leaves
    fourth = shop.prepare(**GROW)
    assert not {name for name in shop.read if name.startswith("shop/") and name.split("/")[1].split("-")[0] in "01"}
    same_as_anew(fourth, anew(shop, tmp_path / "fourth"))


@ONE_STORE
@pytest.mark.parametrize("seed", range(4))
def test_any_past_gives_the_table_of_today(shop, tmp_path, seed):
    """Days of additions, deletions, changes and replacements, some of them interrupted, one in the ranges of the shards."""
    draw = random.Random(seed)
    listed = {i: rows(shop, range(i, i + 1)) for i in range(100)}
    merged = 0
    for day in range(7):
        if day:
            for i in draw.sample(sorted(listed), draw.randint(0, 12)):
                del listed[i]
            for i in draw.sample(sorted(listed), draw.randint(0, 5)):
                listed[i] = [row.replace(",consumer", ",shop") for row in listed[i]] + [
                    f"{shop.picture(f'extra/{day}-{i}.jpg')},{i},consumer"
                ]
            for i in draw.sample(sorted(listed), draw.randint(0, 4)):
                shop.picture(listed[i][0].split(",")[0], seed=1000 * day + i)
            start = 1000 * day
            listed |= {i: rows(shop, range(i, i + 1)) for i in range(start, start + draw.choice([0, 3, 3, 40]))}
        shop.list([row for part in listed.values() for row in part], "image,item,domain")
        options = {"rewrite_images": 10**6} if day == 2 else GROW
        if day in (3, 5):
            interrupt(shop, after=draw.randint(0, 2), **options)
            for i in draw.sample(sorted(listed), 2):  # and the source goes on meanwhile
                del listed[i]
            shop.list([row for part in listed.values() for row in part], "image,item,domain")
        table = shop.prepare(**options)
        merged += any("go to the new ones" in note for note in shop.notes)
        same_as_anew(table, anew(shop, tmp_path / f"{day}"))
        files = set(shop.out.names(recursive=True))
        plan = table.manifest.plan["shards"]
        assert {name for name in files if name.startswith("gone/")} == {
            f"gone/{s['gone']}.parquet" for s in plan if s.get("gone")
        }
        assert len([name for name in files if name.startswith("stats/")]) == len(plan)
    assert merged


class Killed(BaseException):
    pass


def interrupt(shop: Shop, after: int, **options) -> None:
    """A prepare that ends once so many shards are packed."""
    packed = []

    def pack(work, source, out, settings, cpus):
        for shard, drop in work:
            if len(packed) == after:
                raise Killed
            packed.append(shard.name)
            yield shard.name, ShardPacker(source, out, settings).pack(shard, drop)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fashion.data.prepare.run._packed", pack)
        with suppress(Killed):
            shop.prepare(**options)


def test_a_killed_growth_goes_on_and_the_earlier_table_is_there_until_the_end(shop, tmp_path):
    listed = rows(shop, range(60))
    shop.list(listed)
    held = images(shop.prepare())
    shop.list([*listed[6:], *rows(shop, range(100, 130))])
    interrupt(shop, after=2, **GROW)
    assert images(ItemTable(shop.out)) == held
    table = shop.prepare(**GROW)
    packed = len(shop.packed)
    layer = [s for s in table.manifest.plan["shards"] if s.get("layer")]
    assert packed == len(layer) - 2 > 0 and len(shop.read) < 60
    same_as_anew(table, anew(shop, tmp_path / "anew"))


@ONE_STORE
def test_shards_of_a_growth_are_even_and_small_ones_are_merged_once_they_pile_up(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(layers, "PILE", 3)
    listed = [f"{row},train" for row in rows(shop, range(100))]
    header = "image,item,domain,split"
    shop.list(listed, header)
    settings = {"holdout": 0.0} | GROW
    first = {s.name for s in shop.prepare(**settings).manifest.shards}
    listed += [f"{row},train" for row in rows(shop, range(1000, 1095))]
    shop.list(listed, header)
    grown = shop.prepare(**settings)
    new = [s for s in grown.manifest.shards if s.name not in first]
    assert first < {s.name for s in grown.manifest.shards}
    assert len(new) == 10 and {s.images for s in new} <= {18, 20}  # items of two
    numbers = []
    for day in range(9):
        listed += [f"{row},train" for row in rows(shop, range(2000 + 10 * day, 2002 + 10 * day))]
        shop.list(listed, header)
        table = shop.prepare(**settings)
        numbers.append(sum(s.images < 10 for s in table.manifest.shards))
        if numbers[-1] == 0:  # merged: only the new pictures were read
            assert set(shop.read) == {row.split(",")[0] for row in listed[-4:]}
    assert numbers == [1, 2, 3, 4, 0, 1, 2, 3, 4]
    same_as_anew(table, anew(shop, tmp_path / "anew", holdout=0.0))


@ONE_STORE
def test_a_shard_that_lost_a_quarter_is_packed_anew_without_a_look_at_its_pictures(shop, tmp_path):
    listed = rows(shop, range(100))
    shop.list(listed)
    first = shop.prepare(holdout=0.0, **GROW)
    victim = first.shards("train")[3]
    items = first.read(victim.name, columns=["item"])["item"].to_pylist()
    gone = set(items[:4])  # of ten
    shop.list([row for row in listed if row.split(",")[1] not in gone])
    second = shop.prepare(holdout=0.0, **GROW)
    assert len(shop.packed) == 1 and not shop.read
    names = {s.name for s in second.manifest.shards}
    assert {s.name for s in first.manifest.shards} - names == {victim.name}
    assert not any(s.gone for s in second.manifest.shards)
    same_as_anew(second, anew(shop, tmp_path / "anew", holdout=0.0))


@ONE_STORE
def test_a_picture_that_is_not_there_any_more_stays_as_it_was_packed_when_its_item_changes(shop):
    listed = rows(shop, range(60))
    shop.list(listed)
    held = images(shop.prepare())
    for name in ("shop/7-0.jpg", "consumer/30-1.jpg", "shop/40-0.jpg"):
        shop.source.delete(name)
    extra = [f"{shop.picture(f'more-{i}.jpg')},{i},consumer" for i in (7, 30)]
    shop.list([*listed, *extra])
    table = shop.prepare(**GROW)
    assert set(shop.read) == {"more-7.jpg", "more-30.jpg"} and table.manifest.counts["bad"] == 0
    now = images(table)
    assert {image: row["jpeg"] for image, row in now.items() if image in held} == {
        image: row["jpeg"] for image, row in held.items()
    }
    shop.list([*listed, *extra, *rows(shop, range(200, 203))])  # its version is known from the new shard too
    assert images(shop.prepare(**GROW)).items() > now.items() and len(shop.read) == 6


@ONE_STORE
def test_quarantine_and_left_out_duplicates_follow_in_a_grown_table(shop, tmp_path):
    listed = rows(shop, range(60))
    shop.picture("twin-a.jpg", 5), shop.picture("twin-b.jpg", 5)
    shop.list([*listed, "late.jpg,0,shop", "never.jpg,1,shop", "twin-a.jpg,2,shop"])
    drop = {"duplicates": "drop"}
    shop.prepare(bad_fraction=0.1, **drop)
    days = [
        [
            *listed,
            *rows(shop, range(100, 104)),
            "late.jpg,0,shop",
            "never.jpg,1,shop",
            "twin-a.jpg,2,shop",
            "twin-b.jpg,103,shop",
        ],
        [*listed[4:], *rows(shop, range(100, 104)), "twin-a.jpg,2,shop", "twin-b.jpg,103,shop"],  # items 0 and 1 leave
        [*listed, *rows(shop, range(100, 104)), "late.jpg,0,shop", "never.jpg,1,shop", "twin-b.jpg,103,shop"],
    ]
    for day, today in enumerate(days):
        if day == 2:
            shop.picture("late.jpg")
        shop.list(today)
        table = shop.prepare(bad_fraction=0.1, **GROW, **drop)
        fresh = anew(shop, tmp_path / f"{day}", bad_fraction=0.1, **drop)
        same_as_anew(table, fresh)
        held = images(table)  # a shard's files keep what they say of items that are gone of it
        live = {image: why for image, why in quarantined(table).items() if image in str(today) and image not in held}
        assert live == quarantined(fresh)
    with pytest.raises(TooManyBadPictures, match="1 of 131 pictures"):
        shop.prepare(bad_fraction=0.0, **GROW, **drop)


@ONE_STORE
def test_a_training_epoch_of_a_grown_table_has_each_item_once_and_no_step_prefers_a_layer(shop):
    listed = rows(shop, range(200))
    shop.list(listed)
    shop.prepare(holdout=0.1)
    shop.list([*listed[20:], *rows(shop, range(1000, 1200))])
    table = shop.prepare(holdout=0.1, **GROW)
    plan = Plan.of(table.shards("train"), items_per_step=32, seed=0)
    feed = Feed(table, plan, FeedSettings(views=2, size=8, slots=1, crop="whole", pairs=False))
    of_label = [
        item for s in table.shards("train") for item in table.read(s.name, columns=["item"])["item"].to_pylist()
    ]
    assert len(of_label) == len(set(of_label)) == plan.items
    labels = [
        row["label"][0] for n in range(plan.tickets()) for row in feed({"epoch": [0], "ticket": [n], "skipped": [0]})
    ]
    steps = np.concatenate(labels)
    assert set(steps.ravel().tolist()) == set(range(plan.items))
    new = np.array([int(item) >= 1000 for item in of_label])
    shares = []
    for epoch in range(30):
        tickets = [plan.ticket(epoch, n) for n in range(plan.tickets())]
        labels = [[t.groups[g].start for g in t.group] + t.row for t in tickets]
        shares.append(new[np.concatenate(labels).reshape(plan.steps, 32)].mean(1))
    assert abs(np.mean(shares, 0) - new.mean()).max() < 0.2  # of one step in one epoch it is 0.3


@ONE_STORE
def test_rows_planned_from_one_manifest_are_not_read_by_another(shop):
    listed = rows(shop, range(60))
    shop.list(listed)
    shop.prepare()
    shop.list([*listed[2:], *rows(shop, range(100, 103))])
    table = shop.prepare(**GROW)
    shard = next(s for s in table.shards("train", "val", "test") if s.gone)
    elsewhere = pickle.loads(pickle.dumps(table))
    shop.list([*listed[4:], *rows(shop, range(100, 103))])
    shop.prepare(**GROW)
    try:
        assert elsewhere.read(shard.name).num_rows == shard.items
    except InputError as fault:
        assert "prepared anew while it was read" in str(fault)


@ONE_STORE
def test_pictures_in_quarantine_of_a_shard_that_stays_are_tried_at_todays_addresses(shop, monkeypatch):
    fetched = Counter()

    def fetch(pictures, address):
        fetched[address] += 1
        if "/7-shop" in address and "monday" in address:
            raise FileNotFoundError
        return jpeg(picture(hash_of(address.partition("?")[0])))

    monkeypatch.setattr("fashion.data.pictures.folder.Pictures.fetch", fetch)

    def signed(day: str, items: int) -> list[str]:
        return [f"https://a.b/{i}-{d}.jpg?sig={day},{i},{d}" for i in range(items) for d in ("shop", "consumer")]

    shop.list(signed("monday", 40))
    assert len(images(shop.prepare(bad_fraction=0.1))) == 79
    fetched.clear()
    shop.list(signed("tuesday", 44))
    table = shop.prepare(bad_fraction=0.1, **GROW)
    assert len(images(table)) == 88 and table.manifest.counts["bad"] == 0
    assert len(fetched) == 9 and all("sig=tuesday" in address for address in fetched)
    kept = [row for name in shop.out.names("plan") for row in shop.out.read_table(name).to_pylist()]
    assert {row["address"] for row in kept} == {None}


@ONE_STORE
def test_pictures_in_a_parquet_file_that_grew_at_its_start_are_found_in_their_rows(shop, tmp_path):
    def write(items: list[int]) -> None:
        pictures = [
            {
                "bytes": b"" if (i, d) == (7, "shop") and 50 not in items else jpeg(picture(2 * i + (d == "shop"))),
                "path": f"{i}-{d}",
            }
            for i in items
            for d in ("shop", "consumer")
        ]
        columns = {
            "image": pictures,
            "item": [str(i) for i in items for _ in range(2)],
            "domain": ["shop", "consumer"] * len(items),
        }
        shop.source.write_table("shop.parquet", pa.table(columns), row_group_size=16)

    write(list(range(40)))
    assert len(images(shop.prepare(bad_fraction=0.1))) == 79
    write([50, 51, *range(40)])
    table = shop.prepare(bad_fraction=0.1, **GROW)
    assert {s.name for s in table.manifest.shards if not s.gone}
    same_as_anew(table, anew(shop, tmp_path / "anew"))


def numbers(*rows: tuple[int, int, int, int]) -> Side:
    columns = np.array(rows, np.uint64).reshape(-1, 4).T
    return Side(item=columns[0], key=columns[1], row=columns[2], version=columns[3])


def test_an_item_stays_where_all_its_rows_are_as_they_were_and_no_other_is():
    U, M = 0, int(MISSING)
    today = numbers(
        (1, 10, 5, 9), (1, 11, 6, 9), (2, 20, 5, U), (3, 30, 5, 9), (4, 40, 5, 7), (5, 50, 5, 9), (6, 60, 5, 8)
    )
    earlier = numbers(
        (1, 10, 5, 9), (1, 11, 6, 9),  # as it was, in shard 0 and, older, in 1
        (1, 10, 5, 9), (1, 11, 6, 9),
        (2, 20, 5, 4),  # its picture is not there any more
        (3, 30, 5, 9), (3, 31, 5, 9),  # had one picture more
        (4, 40, 5, 8),  # its picture was replaced
        (6, 60, 5, M),  # its picture has come
        (7, 70, 5, 9),  # left
    )  # fmt: skip
    shard = np.array([0, 0, 1, 1, 0, 0, 0, 2, 2, 2], np.int32)
    live = np.array([1, 1, 0, 0, 1, 1, 1, 1, 1, 1], bool)
    joined = join(today, earlier, shard, live)
    assert joined.home.tolist() == [0, 0, 0, NOWHERE, NOWHERE, NOWHERE, NOWHERE]
    assert joined.sources == [[0], [0], [0], [0], [2], [], [2]]
    assert joined.version.tolist() == [9, 9, 4, 9, 7, 9, 8]
    lost = sorted(zip(joined.lost_shard.tolist(), joined.lost_item.tolist(), strict=True))
    assert lost == [(0, 3), (1, 1), (2, 4), (2, 6), (2, 7)]
    assert joined.changes == {"added": 1, "changed": 0, "replaced": 1, "known": 6}
    nothing = numbers()
    assert join(today, nothing, shard[:0], live[:0]).changes["added"] == 7
    assert sorted(join(nothing, earlier, shard, live).lost_item.tolist()) == [1, 1, 2, 3, 4, 6, 7]


@ONE_STORE
def test_embeddings_of_a_grown_table_are_those_of_one_prepared_anew_and_only_new_pictures_are_embedded(shop, tmp_path):
    listed = rows(shop, range(60))
    shop.list(listed)
    first = shop.prepare()
    network = embedder(make_run(tmp_path / "run"))
    catalogue = Store(tmp_path / "first")
    splits = ("train", "val", "test")
    shards = [row.name for row in embed_here(first, network, catalogue, splits=splits).shards]
    shop.list([*listed[8:], *rows(shop, range(100, 110))])
    grown, fresh = shop.prepare(**GROW), anew(shop, tmp_path / "anew")
    manifest = embed_here(grown, network, Store(tmp_path / "grown"), splits=splits, earlier=Earlier(catalogue, shards))
    assert (manifest.images, manifest.carried) == (132, 112)
    whole = embed_here(fresh, network, Store(tmp_path / "whole"), splits=splits)
    vectors = []
    for name, made in (("grown", manifest), ("whole", whole)):
        held = read_embeddings(Store(tmp_path / name), [row.name for row in made.shards])
        images_of = held.column("image").tolist()
        vectors.append(dict(zip(images_of, held.vectors["embedding"].tolist(), strict=True)))
    assert vectors[0].keys() == vectors[1].keys()
    assert all(np.allclose(vectors[0][image], vectors[1][image], atol=1e-5) for image in vectors[0])

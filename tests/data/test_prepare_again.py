"""The same prepare again, after pictures were mended or the manifest changed; and photos that stand under two items."""

from collections import Counter

import pytest
from catalogues import jpeg, picture

from fashion.data.pictures.folder import Pictures
from fashion.data.prepare.run import TooManyBadPictures
from fashion.data.prepare.versions import Listed
from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.json_values import to_plain
from fashion.storage import Store
from tests.data.shop import Shop, hash_of, images, quarantined, rows, state

ONE_STORE = pytest.mark.parametrize("shop", ["local"], indirect=True)  # where the store plays no part


def test_a_manifest_that_grew_shrank_and_changed_gives_the_table_of_today(shop):
    listed = rows(shop, range(120))
    shop.list(listed)
    first = shop.prepare()
    shards = len(shop.packed)
    before = {s.name for s in first.manifest.shards}
    assert shards > 6 and sum(shop.read.values()) == 240

    mended = [*listed[4:], *rows(shop, range(200, 203))]
    mended[10] = mended[10].replace(",shop", ",consumer")
    shop.list(mended)
    second = shop.prepare()
    assert f"annotations changed: 6 images added, 4 removed, 1 changed; {len(shop.packed)} of" in shop.notes[-1]
    assert 0 < len(shop.packed) <= 6 and set(shop.read) == {r.split(",")[0] for r in [*mended[-6:], mended[10]]}
    assert second.fingerprint != first.fingerprint and second.manifest.counts["images"] == len(mended)
    assert {i: (r["item"], r["domain"]) for i, r in images(second).items()} == {
        image: (item, domain) for image, item, domain in (row.split(",") for row in mended)
    }
    after = {s.name for s in second.manifest.shards}
    assert len(before & after) == shards - len(shop.packed) and not set(shop.packed) & before
    files = state(shop.out)
    assert {n.removeprefix("items/").removesuffix(".parquet") for n in files if n.startswith("items/")} == after
    third = shop.prepare()
    assert third.fingerprint == second.fingerprint and not shop.packed and state(shop.out) == files


def test_the_earlier_table_can_be_read_until_the_new_one_is_finished(shop):
    listed = rows(shop, range(40))
    shop.list(listed)
    first = shop.prepare()
    held = images(first)
    shop.list([*listed, *rows(shop, range(50, 60)), "gone.jpg,99,shop"])
    with pytest.raises(TooManyBadPictures):
        shop.prepare(bad_fraction=0.0)
    assert images(ItemTable(shop.out)) == held
    whole = shop.prepare()
    assert len(images(whole)) == 100 and set(shop.read) <= {"gone.jpg"}
    with pytest.raises(InputError, match="was prepared anew while it was read"):
        first.read(first.shards("train")[0].name)


def test_bad_pictures_are_tried_again_alone_and_bad_fraction_may_be_raised(shop):
    listed = rows(shop, range(60))
    shop.list([*listed, "late.jpg,0,shop", "never.jpg,1,shop"])
    with pytest.raises(TooManyBadPictures, match=r"2 of 122 pictures cannot be used \(2 x the file is not there\)"):
        shop.prepare(bad_fraction=0.01)
    shards = len(shop.packed)
    shop.picture("late.jpg")
    with pytest.raises(TooManyBadPictures, match=r"1 of 122 pictures"):
        shop.prepare(bad_fraction=0.0)
    assert 0 < len(shop.packed) <= 2 < shards and set(shop.read) <= {"late.jpg", "never.jpg"}
    table = shop.prepare(bad_fraction=0.01)
    assert len(shop.packed) == 1 and "late.jpg" in images(table)
    assert quarantined(table) == {"never.jpg": "the file is not there"}
    assert table.manifest.quarantined == {"the file is not there": 1} and table.manifest.counts["bad"] == 1
    files = state(shop.out)
    assert shop.prepare().fingerprint == table.fingerprint and state(shop.out) == files  # still bad: nothing changes
    shop.picture("never.jpg")
    mended = shop.prepare()
    assert len(images(mended)) == 122 and mended.manifest.counts["bad"] == 0 and not quarantined(mended)
    assert mended.fingerprint != table.fingerprint and not mended.manifest.quarantined
    files = state(shop.out)
    assert shop.prepare().fingerprint == mended.fingerprint and not shop.packed and state(shop.out) == files


@ONE_STORE
@pytest.mark.parametrize("domain", ["shop", "consumer"])
def test_photos_of_one_domain_are_held_out_with_both_roles(shop, domain):
    shop.list(rows(shop, range(80), domains=(domain,) * 3))
    table = shop.prepare()
    for split in ("val", "test"):
        roles = Counter(r["role"] for s in table.shards(split) for r in table.image_rows(s.name).to_pylist())
        assert roles["query"] * 2 == roles["gallery"] > 0
    assert shop.notes[0] == "no split column: 60 % of the train items stay train, 20 % val, 20 % test"
    assert shop.notes[1].startswith(f"val and test: {domain} photos alone")


@ONE_STORE
def test_items_of_one_photo_each_are_refused_before_a_picture_is_read(shop):
    shop.list(rows(shop, range(60), domains=("shop",)))
    with pytest.raises(
        InputError, match=r"0 queries, .* could not be validated: expected items with two photos or more"
    ):
        shop.prepare()
    assert not shop.read
    assert set(shop.prepare(holdout=0.0).manifest.splits) == {"train"}  # to be embedded and searched


def leaky(shop: Shop) -> list[str]:
    """Forty items, of which the first and the last share a photo; and one photo twice in an item."""
    shop.picture("twice-a.jpg", 5), shop.picture("twice-b.jpg", 5)
    shop.picture("shared-a.jpg", 6), shop.picture("shared-b.jpg", 6)
    listed = [f"{row},{'test' if row.split(',')[1] == '39' else ''}" for row in rows(shop, range(40))]
    return [*listed, "twice-a.jpg,3,shop,", "twice-b.jpg,3,shop,", "shared-a.jpg,0,shop,", "shared-b.jpg,39,shop,test"]


def test_a_photo_under_two_items_is_listed_refused_or_dropped(shop):
    shop.list(leaky(shop), "image,item,domain,split")
    with pytest.raises(InputError, match=r"1 photos stand under several items \(2 images, 1 of them in two splits\)"):
        shop.prepare(duplicates="refuse")
    assert not shop.out.exists("manifest.json")
    table = shop.prepare()
    assert not shop.packed and "1 photos stand under several items" in shop.notes[-1]
    counts = {"photos": 1, "images": 2, "across_splits": 1, "within_items": 1}
    assert table.manifest.duplicates == counts and len(images(table)) == 84
    listed = {(r["image"], r["keep"]) for r in table.store.read_table("duplicates.parquet").to_pylist()}
    assert listed == {("shared-b.jpg", True), ("shared-a.jpg", False)}  # in test before train
    held = images(table)
    dropped = shop.prepare(duplicates="drop")
    assert set(held) - set(images(dropped)) == {"shared-a.jpg"}
    assert dropped.fingerprint != table.fingerprint and len(shop.packed) == 1 and not shop.read
    files = state(shop.out)
    assert shop.prepare(duplicates="drop").fingerprint == dropped.fingerprint and state(shop.out) == files
    assert "shared-a.jpg" in images(shop.prepare())


@ONE_STORE
def test_what_an_unfinished_prepare_left_does_not_bind_the_settings(shop):
    shop.list([*rows(shop, range(30)), "gone.jpg,1,shop"])
    with pytest.raises(TooManyBadPictures):
        shop.prepare(bad_fraction=0.0)
    table = shop.prepare(size=30)
    assert "unfinished prepare with another size" in shop.notes[0]
    assert {min(row["width"], row["height"]) for row in images(table).values()} == {30}
    held = {name for shard in table.manifest.shards for name in [f"items/{shard.name}.parquet"]}
    assert {name for name in shop.out.names("items", recursive=True)} == held


@ONE_STORE
def test_one_picture_with_two_boxes_is_two_garments(shop):
    shop.picture("both.jpg")
    plain = [f"{row},,,," for row in rows(shop, range(20))]
    shop.list([*plain, "both.jpg,1,shop,0,0,20,20", "both.jpg,2,shop,20,20,40,40"], "image,item,domain,x1,y1,x2,y2")
    assert shop.prepare().manifest.duplicates["photos"] == 0


def test_a_table_of_an_earlier_version_is_packed_anew_and_other_settings_are_refused(shop):
    shop.list(rows(shop, range(30)))
    first = shop.prepare()
    with pytest.raises(InputError, match="made with size None, and 64 was asked for"):
        shop.prepare(size=64)
    older = {name: value for name, value in to_plain(first.manifest).items() if name not in ("plan", "duplicates")}
    shop.out.write_json("manifest.json", older)
    shop.out.write_json("plan/plan.json", {"format": older["format"], "settings": {}, "shards": []})
    second = shop.prepare()
    assert len(shop.packed) == len(first.manifest.shards) and images(second) == images(ItemTable(shop.out))
    assert {i: r["jpeg"] for i, r in images(second).items()} == {i: shop.source.read(i) for i in images(second)}
    assert not shop.out.exists("plan/plan.json") and shop.prepare().fingerprint == second.fingerprint


@ONE_STORE
def test_contradictions_are_set_aside_with_the_rest(shop):
    listed = rows(shop, range(60))
    shop.list([*listed, listed[0].replace(",shop", ",consumer"), listed[1]])
    with pytest.raises(InputError, match=r"2 of 121 rows .* contradict each other: domain consumer and shop"):
        shop.prepare(bad_fraction=0.0)
    assert not shop.read
    table = shop.prepare()
    assert len(images(table)) == 119 and table.manifest.counts["bad"] == 2
    assert sum(table.manifest.quarantined.values()) == 2
    shop.list(listed)
    assert len(images(shop.prepare())) == 120 and not quarantined(ItemTable(shop.out))


@ONE_STORE
def test_signed_addresses_change_nothing_and_are_not_kept(shop, monkeypatch):
    fetched = Counter()

    def fetch(pictures, address):
        fetched[address] += 1
        return jpeg(picture(hash_of(address.partition("?")[0])))

    monkeypatch.setattr("fashion.data.pictures.folder.Pictures.fetch", fetch)
    signed = lambda day: [  # noqa: E731
        f"https://shop.example/{i}-{d}.jpg?sig={day},{i},{d}" for i in range(40) for d in ("shop", "consumer")
    ]
    shop.list(signed("monday"))
    first = shop.prepare()
    assert all("sig=monday" in address for address in fetched) and len(fetched) == 80
    assert "https://shop.example/3-shop.jpg" in images(first)
    shop.list(signed("tuesday"))
    assert shop.prepare().fingerprint == first.fingerprint and not shop.packed and len(fetched) == 80
    kept = [row for name in shop.out.names("plan") for row in shop.out.read_table(name).to_pylist()]
    assert len(kept) == 80 and {row["address"] for row in kept} == {None}


@ONE_STORE
def test_columns_and_domains_may_be_mended_on_a_table(shop):
    listed = rows(shop, range(60))
    shop.list([*listed, f"{shop.picture('street.jpg')},1,street"])
    first = shop.prepare()
    assert sum(first.manifest.quarantined.values()) == 1 and "street.jpg" in quarantined(first)
    mended = shop.prepare(domains={"street": "consumer"})
    assert "street.jpg" in images(mended) and not quarantined(mended)


def test_a_picture_that_was_replaced_under_its_name_is_read_again_alone(shop, tmp_path):
    listed = rows(shop, range(40))
    shop.list(listed)
    first, shards = shop.prepare().fingerprint, len(shop.packed)
    fresh = jpeg(picture(7, 90, 70))
    shop.source.write("consumer/5-1.jpg", fresh)
    shop.source.write("shop/of-no-row.jpg", fresh)
    second = shop.prepare()
    assert shop.notes[-1] == f"pictures replaced under their names: 1; 1 of {shards} shards are packed"
    assert set(shop.read) == {"consumer/5-1.jpg"} and len(shop.packed) == 1
    assert images(second)["consumer/5-1.jpg"]["jpeg"] == fresh
    shop.out = Store(tmp_path / "anew")
    anew = shop.prepare()
    assert second.fingerprint == anew.fingerprint != first and images(second) == images(anew)


@ONE_STORE
def test_pictures_as_they_were_are_neither_read_again_nor_missed_once_they_are_gone(shop):
    listed = rows(shop, range(60))
    shop.list(listed)
    first, files = shop.prepare().fingerprint, state(shop.out)
    shop.source.write("notes.txt", b"of no row")
    assert shop.prepare().fingerprint == first and state(shop.out) == files and not shop.packed
    shop.source.write("consumer/of-no-row.txt", b"")
    assert shop.prepare().fingerprint == first and not shop.packed and not shop.read
    shop.source.delete_folder("consumer")
    assert shop.prepare().fingerprint == first and not shop.packed and not shop.read


@ONE_STORE
def test_a_table_without_versions_of_pictures_is_taken_as_it_is_and_watched_from_then_on(shop, monkeypatch):
    listed = rows(shop, range(60))
    shop.list(listed)
    monkeypatch.setattr(
        "fashion.data.prepare.versions.Versions.with_versions", lambda _, rows, digest, old: (rows, digest)
    )
    first = shop.prepare().fingerprint
    manifest = shop.out.read_json("manifest.json")
    del manifest["plan"]["pictures"]
    for shard in manifest["plan"]["shards"]:
        del shard["annotations"]
    shop.out.write_json("manifest.json", manifest)
    monkeypatch.undo()
    monkeypatch.setattr("fashion.data.prepare.run._packed", shop.pack)
    assert shop.prepare().fingerprint == first and not shop.packed
    shop.picture("consumer/5-1.jpg", seed=9)
    assert shop.prepare().fingerprint != first and len(shop.packed) == 1


@ONE_STORE
def test_a_table_among_the_pictures_does_not_watch_itself(shop):
    shop.list(rows(shop, range(20)))
    shop.out = shop.source / "consumer/table"
    first, files = shop.prepare().fingerprint, state(shop.out)
    assert shop.prepare().fingerprint == first and state(shop.out) == files and not shop.packed


def test_versions_are_of_files_in_the_order_in_which_they_are_looked_for(tmp_path):
    source = Store(tmp_path)
    for name in ("Img/img/a.jpg", "img/a.jpg", "img/b.JPG", "img_highres/a.jpg"):
        source.write(name, name.encode())
    pictures, large = Pictures(source), Pictures(source, "img_highres")
    versions = Listed(source)
    both = [versions.of("img/a.jpg", pictures), versions.of("img/a.jpg", large)]
    assert None not in both and len({*both, versions.of("img/a.jpg", pictures, large)}) == 3
    assert versions.of("img/b.jpg", pictures) is not None  # found whatever the case of its letters
    assert versions.of("img/c.jpg", pictures) is None is versions.of("../img/a.jpg", pictures)
    state = versions.state()
    assert state["folders"] == ["Img", "img", "img_highres"] and Listed(source).state(state["folders"]) == state
    source.write("img/a.jpg", b"of another length")  # not looked at where Img/ has it
    assert Listed(source).of("img/a.jpg", pictures) == both[0] and Listed(source).state(["img"]) != state
    source.write("Img/img/a.jpg", b"of another length")
    assert Listed(source).of("img/a.jpg", pictures) != both[0]


@pytest.mark.parametrize("folders", [0, 3, 40])
def test_every_file_is_listed_once_however_the_folders_branch(tmp_path, folders):
    source = Store(tmp_path)
    names = ["img/of-all.jpg", *(f"img/{i}/{j}/{k}.jpg" for i in range(folders) for j in range(2) for k in range(3))]
    for name in names:
        source.write(name, name.encode())
    listed, pictures = Listed(source), Pictures(source)
    assert None not in (versions := [listed.of(name, pictures) for name in names])
    for i in {0, len(names) - 1}:
        source.write(names[i], b"another")
    again = [Listed(source).of(name, pictures) for name in names]
    assert [i for i in range(len(names)) if again[i] != versions[i]] == sorted({0, len(names) - 1})

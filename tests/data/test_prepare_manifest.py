"""From a manifest as retailers have it to the table: what is counted, what is listed, what may change between two runs."""

import json

import pytest

from fashion.data.prepare.plan import plan_table
from fashion.data.settings import TableSettings
from fashion.errors import InputError
from fashion.json_values import to_plain
from fashion.storage import Store
from tests.data.shop import Shop, images, quarantined, rows


@pytest.fixture
def shop(tmp_path, monkeypatch):
    return Shop(Store(tmp_path), monkeypatch)


def test_rows_at_fault_are_set_aside_counted_and_listed_with_bad_pictures(shop):
    shop.source.write("broken.jpg", b"no picture")
    bad = ["a.jpg,1", "b.jpg,1,shop,more", "c.jpg,,shop", "d.jpg,1,shelf", "broken.jpg,1,shop", "none.jpg,1,shop"]
    shop.list([*rows(shop, range(20)), *bad])
    with pytest.raises(
        InputError, match=r"^4 of 46 rows of the annotations cannot be used.*: shop.csv, line 42: found 2"
    ):
        shop.prepare(bad_fraction=0.05)
    table = shop.prepare(bad_fraction=0.2)
    assert len(images(table)) == 40
    found = quarantined(table)
    assert list(map(bool, map(found.pop, ("broken.jpg", "none.jpg")))) == [True, True]
    assert found == {
        "a.jpg": "found 2 cells, expected 3",
        "b.jpg": "found 4 cells, expected 3",
        "c.jpg": "item is empty; expected a value in each row",
        "d.jpg": "domain 'shelf'; expected consumer or shop; say what it means with --domains '{shelf: consumer}'",
    }


def test_how_a_manifest_is_read_may_change_between_two_runs_on_one_table(shop):
    listed = rows(shop, range(20))
    shop.list([f"{row},{'street' if i % 2 else 'catalogue'}" for i, row in enumerate(listed)], "image,item,was,domain")
    domains = {"street": "consumer", "catalogue": "shop"}
    with pytest.raises(InputError, match=r"^40 rows cannot be used: shop.csv, line 2: domain 'catalogue'"):
        shop.prepare()
    with pytest.raises(InputError, match=r"^20 of 40 rows of the annotations cannot be used.* domain 'catalogue'"):
        shop.prepare(domains={"street": "consumer"})  # not: that there is no gallery
    first = shop.prepare(domains=domains)
    meant = {image: row["domain"] for image, row in images(first).items()}
    assert len(meant) == 40
    assert shop.prepare(domains=domains, follow_links=True, allow_private_hosts=True).fingerprint == first.fingerprint
    turned = shop.prepare(domains={"street": "shop", "catalogue": "consumer"})
    assert all(row["domain"] != meant[image] for image, row in images(turned).items())
    again = shop.prepare(columns={"domain": "was"})
    assert {image: row["domain"] for image, row in images(again).items()} == meant


def test_secrets_of_addresses_are_in_the_plan_alone(shop):
    shop.list([f"https://cdn.invalid/{i}-{d}.jpg?sig=hunter2,{i},{d}" for i in range(20) for d in ("shop", "consumer")])
    plan = plan_table(shop.source, shop.out, TableSettings(benchmark="manifest"), warn=shop.notes.append)
    assert "hunter2" not in json.dumps(to_plain(plan.record)) + str(shop.notes)

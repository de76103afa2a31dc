"""What prepare keeps on disk instead of in memory, against the same in memory."""

import hashlib
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from fashion.data.formats.rejects import Rejects
from fashion.data.prepare.duplicates import SCHEMA, find_duplicates
from fashion.data.prepare.spool import Slots, read_spool

ROWS = pa.schema([("number", pa.uint64()), ("place", pa.int64())])


@pytest.mark.parametrize("slots, held", [(1, 10**6), (7, 1), (7, 90), (300, 250)])
def test_a_slot_holds_the_rows_of_its_range_in_the_order_in_which_they_came(tmp_path, slots, held):
    numbers = np.random.default_rng(0).integers(0, 2**64, 1000, np.uint64)
    parts = Slots(tmp_path / "parts", slots, ROWS, held=held)
    for start in range(0, 1000, 40):
        part = numbers[start : start + 40]
        parts.add(pa.table([part, np.arange(start, start + 40)], schema=ROWS), part)
    rows = [read_spool(path, ROWS).to_pylist() for path in parts.done()]
    assert len(rows) == slots
    for slot, part in enumerate(rows):
        assert all(row["number"] * slots >> 64 == slot for row in part)
        places = [row["place"] for row in part]
        assert places == sorted(places)
    assert sorted(row["place"] for part in rows for row in part) == list(range(1000))


def photos(count: int) -> list[dict]:
    """Photos of 300 items, of which many stand under several, in several splits, or twice in one."""
    random = np.random.default_rng(3)
    rows = []
    for i in range(count):
        item, photo = int(random.integers(300)), int(random.integers(count))
        split = ("train", "val", "test")[item % 3]
        digest = hashlib.blake2b(str(photo).encode(), digest_size=16).hexdigest()
        digest += "/1,2,3,4" if photo % 5 == 0 else ""
        rows.append(
            {"item": f"id_{item}", "image": f"{i}.jpg", "digest": digest, "split": split, "shard": f"{split}/0"}
        )
    return rows


@pytest.mark.parametrize("part_rows", [10**6, 50, 7])
def test_duplicates_are_those_of_a_plain_loop_however_few_rows_are_compared_at_once(part_rows):
    rows = photos(1500)
    tables = (pa.Table.from_pylist(rows[i : i + 100], SCHEMA) for i in range(0, 1500, 100))
    duplicates, counts = find_duplicates(tables, 1500, part_rows=part_rows)

    by_photo = defaultdict(list)
    for row in rows:
        by_photo[row["digest"]].append(row)
    several = {digest: part for digest, part in by_photo.items() if len({row["item"] for row in part}) > 1}
    expected = []
    for _, part in sorted(several.items()):
        part.sort(key=lambda row: (("test", "val", "train").index(row["split"]), row["item"], row["image"]))
        expected += [row | {"keep": row["item"] == part[0]["item"]} for row in part]
    assert duplicates.to_pylist() == expected
    assert counts == {
        "photos": len(several),
        "images": len(expected),
        "across_splits": sum(len({row["split"] for row in part}) > 1 for part in several.values()),
        "within_items": 1500 - len({(row["digest"], row["item"]) for row in rows}),
    }
    assert counts["across_splits"] > 50 and counts["within_items"] > 0


def test_no_photo_at_all_has_no_duplicates():
    duplicates, counts = find_duplicates([], 0)
    assert duplicates.num_rows == 0 and set(counts.values()) == {0}


def test_rejects_are_counted_and_listed_however_many_they_are():
    rejects = Rejects()
    assert not rejects and rejects.table.num_rows == 0
    for i in range(25_001):
        rejects.line(f"shop.csv, line {i}", None, "a bad box" if i % 3 else "no item")
    assert len(rejects) == rejects.table.num_rows == 25_001
    assert rejects.table["place"].to_pylist() == [f"shop.csv, line {i}" for i in range(25_001)]
    assert rejects.reasons == {"a bad box": 16667, "no item": 8334}
    assert rejects.message().startswith("shop.csv, line 0: no item; ") and rejects.message().endswith(
        "; and 24991 more"
    )

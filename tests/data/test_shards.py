"""The plan of shards against a plain re-statement in memory."""

from collections import Counter, defaultdict

import pyarrow as pa
import pytest

from fashion.data.schema import ANNOTATIONS
from fashion.data.shards import plan_shards
from fashion.errors import InputError


def annotation(item, image, domain="shop", split="train", role=None):
    return {"item": item, "image": image, "domain": domain, "split": split, "role": role}


def batches(rows, size=7):
    return [pa.RecordBatch.from_pylist(rows[i : i + size], ANNOTATIONS) for i in range(0, len(rows), size)]


def plan(rows, **options):
    options = {"shard_images": 50, "holdout": 0.0, "seed": 0} | options
    return list(plan_shards(batches(rows), **options))


ROWS = [
    annotation(f"id_{i:03d}", f"img/{i}/{j}.jpg", "consumer" if j else "shop", "test" if i % 5 == 0 else "train")
    for j in range(4)
    for i in range(150)
]


@pytest.mark.parametrize("slot_images", [10**6, 100, 37])
def test_every_image_once_items_whole_shards_even(slot_images):
    shards = plan(ROWS, slot_images=slot_images)
    rows = [row for shard in shards for row in shard.rows.to_pylist()]
    assert Counter(row["image"] for row in rows) == Counter(row["image"] for row in ROWS)
    homes = defaultdict(set)
    for shard in shards:
        assert set(shard.rows["split"].to_pylist()) == {shard.split}
        for item in shard.rows["item"].to_pylist():
            homes[item].add(shard.name)
    assert all(len(home) == 1 for home in homes.values())
    if slot_images == 10**6:
        assert all(40 <= shard.rows.num_rows <= 60 for shard in shards)
    assert [s.index for s in shards if s.split == "train"] == list(range(sum(s.split == "train" for s in shards)))


def test_the_order_of_the_annotations_does_not_matter_and_the_seed_does():
    names = lambda shards: [(s.name, s.rows["image"].to_pylist()) for s in shards]  # noqa: E731
    assert names(plan(ROWS)) == names(plan(ROWS[::-1]))
    assert names(plan(ROWS)) != names(plan(ROWS, seed=1))


def test_an_image_that_is_listed_twice_is_packed_once():
    shards = plan([*ROWS, *ROWS[:40]])
    assert sum(shard.rows.num_rows for shard in shards) == len(ROWS)


def test_holdout_becomes_validation_with_roles_only_where_there_is_none():
    held = [shard for shard in plan(ROWS, holdout=0.3) if shard.split == "val"]
    rows = [row for shard in held for row in shard.rows.to_pylist()]
    items = {row["item"] for row in rows}
    assert 20 <= len(items) <= 52  # 30 % of 120 train items
    assert all((row["role"] == "query") == (row["domain"] == "consumer") for row in rows)
    assert items.isdisjoint(r["item"] for s in plan(ROWS, holdout=0.3) if s.split != "val" for r in s.rows.to_pylist())
    own = [*ROWS, annotation("id_v", "img/v.jpg", split="val", role="query")]
    assert [s.rows.num_rows for s in plan(own, holdout=0.3) if s.split == "val"] == [1]


def test_held_out_items_of_one_domain_alternate_between_gallery_and_query():
    rows = [annotation(f"id_{i}", f"img/{i}/{j}.jpg") for i in range(40) for j in range(i % 4 + 1)]
    for shard in plan(rows, holdout=0.9):
        if shard.split == "val":
            roles = defaultdict(list)
            for row in shard.rows.to_pylist():
                roles[row["item"]].append(row["role"])
            assert all(r == ["gallery", "query", "gallery", "query"][: len(r)] for r in roles.values())


def test_an_item_in_two_splits_is_refused():
    rows = [*ROWS, annotation("id_001", "img/again.jpg", split="test")]
    with pytest.raises(InputError, match="item 'id_001' lies in the splits test and train"):
        plan(rows)


def test_no_annotation_at_all_is_refused():
    with pytest.raises(InputError, match="list no image"):
        plan([])

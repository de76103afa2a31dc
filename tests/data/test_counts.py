"""What the manifest says of labels, against a plain count; and the lists of attributes of the benchmarks."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from literal_trees import write_tree
from test_category import COARSE, FINE

from fashion.data.formats.benchmarks import read_attribute_types
from fashion.data.prepare.counts import LabelCounts
from fashion.data.schema import ANNOTATIONS
from fashion.errors import InputError

TYPES = {"dotted": "texture", "a-line": "shape", "never seen": "part"}


def annotations(count: int, seed: int) -> list[dict]:
    rng = np.random.default_rng(seed)
    names = np.array(["dotted", "a-line", "not on the list"])
    return [
        {
            "item": f"id_{i}", "image": f"{i}.jpg", "domain": "shop", "split": ("train", "test")[i % 2],
            "category": "Tee" if rng.random() < 0.5 else None,
            "attributes": names[rng.random(3) < 0.5].tolist() if rng.random() < 0.7 else None,
            "landmarks": [0.0] * 24 if rng.random() < 0.3 else None,
            "box": [0, 0, 9, 9] if rng.random() < 0.6 else None,
        }
        for i in range(count)
    ]  # fmt: skip


def test_counts_of_parts_are_those_of_all_rows():
    rows = annotations(200, 0)
    counts = LabelCounts(TYPES)
    for split in ("train", "test"):
        mine = [row for row in rows if row["split"] == split]
        for start in range(0, len(mine), 17):
            counts.add(split, pa.Table.from_pylist(mine[start : start + 17], ANNOTATIONS))
    found = counts.fields()
    for split in ("train", "test"):
        mine = [row for row in rows if row["split"] == split]
        expected = {
            name: sum(row[name] is not None for row in mine) for name in ("category", "attributes", "landmarks")
        }
        boxes = sum(row["box"] is not None for row in mine)
        assert found["labels"][split] == {"images": 100, "boxes": boxes} | expected
    positives = Counter(name for row in rows if row["split"] == "train" for name in row["attributes"] or ())
    assert found["attribute_counts"] == {"never seen": 0, **positives}
    assert found["category_counts"] == {"Tee": found["labels"]["train"]["category"]}
    assert found["attributes"] == ["a-line", "dotted", "never seen", "not on the list"]
    assert found["attribute_types"] == TYPES


def test_without_any_attribute_there_are_no_names():
    counts = LabelCounts({})
    counts.add("train", pa.Table.from_pylist([row | {"attributes": None} for row in annotations(3, 1)], ANNOTATIONS))
    assert counts.fields()["attributes"] == [] and counts.fields()["attribute_counts"] == {}


def test_lists_of_attributes_name_those_that_no_image_has(tmp_path):
    coarse, fine = write_tree(tmp_path / "coarse", COARSE), write_tree(tmp_path / "fine", FINE)
    assert read_attribute_types("category-attribute", coarse) == {
        "a-line": "shape", "acid wash": "texture", "chic": "style",
    }  # fmt: skip
    assert read_attribute_types("category-attribute", fine, fine=True) == {"long sleeve": "sleeve", "floral": "texture"}
    assert read_attribute_types("in-shop", coarse) == read_attribute_types("manifest", coarse) == {}
    with pytest.raises(InputError, match=r"^Anno_fine/list_attr_cloth\.txt: not found"):
        read_attribute_types("category-attribute", coarse, fine=True)


@pytest.mark.parametrize("types", ["2\nh\n1 图案 pattern\n2 size of it\n", "2\nh\n图案 pattern 1\nsize of it 2\n"])
def test_consumer_to_shop_names_its_types_itself(tmp_path, types):
    tree = {
        "Anno/list_attr_cloth.txt": "3\nh\n纯色 Solid color 1\n长 Long 2\n旧 Old 9\n",
        "Anno/list_attr_type.txt": types,
        "Anno/list_attr_items.txt": "0\nh\n",
    }
    found = read_attribute_types("consumer-to-shop", write_tree(tmp_path / "own", tree))
    assert found == {"Solid color": "pattern", "Long": "size of it", "Old": "type 9"}
    del tree["Anno/list_attr_items.txt"]
    assert read_attribute_types("consumer-to-shop", write_tree(tmp_path / "none", tree)) == {}
    bad = tree | {"Anno/list_attr_items.txt": "0\nh\n", "Anno/list_attr_type.txt": "1\nh\nlonely\n"}
    with pytest.raises(InputError, match="line 3: found 'lonely', expected a number and a name"):
        read_attribute_types("consumer-to-shop", write_tree(tmp_path / "bad", bad))

"""Annotation files that anybody wrote: rows as the schema says, or one line that says what is wrong where."""

import gzip
import re
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fashion.data.formats.benchmarks import read_annotations, read_attribute_types
from fashion.data.schema import ANNOTATIONS
from fashion.errors import InputError
from fashion.storage import Store
from tests.faults.fuzz import FUZZ, spoilt

A, B, C = "img/TOPS/Tee/id_1/comsumer_01.jpg", "img/TOPS/Tee/id_1/shop_01.jpg", "img/MEN/Coat/id_2/02_1_front.jpg"
BOXES = "3\nimage_name a b x_1 y_1 x_2 y_2\n{A} 1 2 050 060 200 220\n{B} 1 1 051 060 200 220\n{C} 3 1 0 0 0 0\n"
MARKS = "2\nname ...\n{A} 2 1 0 001 002 0 003 004 1 005 006 2 0 0\n{B} 2 1 0 1 2 0 3 4 1 5 6 1 7 8\n"
NAMES, LABELS = "2\nname type\n圆领 Round Neck 2\nLong 3\n", "2\nitem labels\nid_1 1 -1\nid_2 0 -1\n"
SPLITS = ("train", "val", "test")


def tree(**files: str) -> dict[str, bytes]:
    return {name: text.replace("{A}", A).replace("{B}", B).replace("{C}", C).encode() for name, text in files.items()}


TREES = {
    "consumer-to-shop": tree(**{
        "Eval/list_eval_partition.txt": "2\na b item status\n{A} {B} id_1 train\n{C} {B} id_2 test\n",
        "Anno/list_bbox_consumer2shop.txt": BOXES, "Anno/list_landmarks_consumer2shop.txt": MARKS,
        "Anno/list_item_consumer2shop.txt": "2\nid_1\nid_2\n", "Anno/list_attr_cloth.txt": NAMES,
        "Anno/list_attr_type.txt": "2\nname number\nneck 2\nlength 3\n", "Anno/list_attr_items.txt": LABELS,
    }),
    "in-shop": tree(**{
        "Eval/list_eval_partition.txt": "3\nimage item status\n{A} id_1 train\n{B} id_1 query\n{C} id_2 gallery\n",
        "Anno/list_bbox_inshop.txt": BOXES, "Anno/list_landmarks_inshop.txt": MARKS,
        "Anno/list_item_inshop.txt": "2\nid_1\nid_2\n", "Anno/attributes/list_attr_cloth.txt": "2\nname\nlong\nround neck\n",
        "Anno/attributes/list_attr_items.txt": LABELS,
        "Anno/attributes/list_color_cloth.txt": "2\nname color\n{A} Heather grey\n{B} Navy\n",
        "Anno/list_description_inshop.json": '[{"item": "id_1", "color": "Navy", "description": ["A tee.", "Woven."]}]',
    }),
    "category-attribute": tree(**{
        "Eval/list_eval_partition.txt": "3\nname status\n{A} train\n{B} val\n{C} test\n",
        "Anno/list_category_cloth.txt": "2\nname type\nAnorak 1\nCutoffs 2\n",
        "Anno/list_category_img.txt": "3\nname label\n{A} 2\n{B} 2\n{C} 1\n", "Anno/list_attr_cloth.txt": NAMES,
        "Anno/list_attr_img.txt": "3\nname labels\n{A} 1 -1\n{B} -1 -1\n{C} 0 1\n",
        "Anno/list_bbox.txt": "2\nname x_1 y_1 x_2 y_2\n{A} 072 079 232 273\n{B} 1 2 3 4\n",
        "Anno/list_landmarks.txt": MARKS,
    }),
    "fine": tree(**{
        **{f"Anno_fine/{split}.txt": f"{name}\n" for split, name in zip(SPLITS, ["{A}", "{B}", "{C}"], strict=True)},
        "Anno_fine/list_attr_cloth.txt": NAMES, "Anno_fine/list_category_cloth.txt": "1\nname type\nAnorak 1\n",
        **{f"Anno_fine/{split}_attr.txt": "1 0\n" for split in SPLITS},
        **{f"Anno_fine/{split}_cate.txt": "1\n" for split in SPLITS},
        **{f"Anno_fine/{split}_bbox.txt": "072 079 232 273\n" for split in SPLITS},
        **{f"Anno_fine/{split}_landmarks.txt": "10 11 12 13 0 0 0 0 14 15 16 17 18 19 20 0\n" for split in SPLITS},
    }),
}  # fmt: skip
CSV = (
    'image,item,domain,split,role,category,description,attributes,x1,y1,x2,y2\n{A},1,consumer,train,,tee,"soft, ""warm""",'
    "a;b,1,2,30,40\n{B},1,shop,test,gallery,tee,,,,,,\n{C},2,shop,val,,,,,,,,\n"
)
MANIFESTS = {
    "csv": tree(t=CSV)["t"],
    "semicolons": tree(t=CSV)["t"].replace(b",", b";"),
    "utf-16": CSV.encode("utf-16"),
    "gzip": gzip.compress(tree(t=CSV)["t"], mtime=0),
}


def read_or_line(files: dict[str, bytes], benchmark: str, **options) -> str | None:
    """Reads all that the files say; the line where they are refused."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_bytes(data)
        source, said, warnings = Store(folder), [], []
        tell = {"reject": lambda *row: said.append(row)} if benchmark == "manifest" else {}
        try:
            for batch in read_annotations(benchmark, source, warn=warnings.append, **options, **tell):
                assert batch.schema == ANNOTATIONS
                batch.validate(full=True)
                assert "" not in batch["image"].to_pylist() and "" not in batch["item"].to_pylist()
            read_attribute_types(benchmark, source, **options)
        except InputError as fault:
            return str(fault)
        assert all(isinstance(place, str) and isinstance(reason, str) for place, _, reason in said)
        return None


@pytest.mark.parametrize("kind", TREES)
@FUZZ
@given(data=st.data())
def test_lists_of_a_benchmark_are_read_or_one_line(kind, data):
    files = TREES[kind]
    name = data.draw(st.sampled_from(sorted(files)))
    benchmark, options = ("category-attribute", {"fine": True}) if kind == "fine" else (kind, {})
    line = read_or_line(files | {name: data.draw(spoilt(files[name]))}, benchmark, **options)
    assert line is None or line.startswith((name.rpartition("/")[2], *files, "Anno", "Eval")), line


@pytest.mark.parametrize("kind", TREES)
def test_lists_that_are_whole_are_read(kind):
    benchmark, options = ("category-attribute", {"fine": True}) if kind == "fine" else (kind, {})
    assert read_or_line(TREES[kind], benchmark, **options) is None


@pytest.mark.parametrize(
    ("kind", "name", "data", "said"),
    [
        ("in-shop", "Anno/list_item_inshop.txt", b"9" * 5000, "line 1: found '9999.*, expected the number of rows"),
        ("in-shop", "Anno/list_item_inshop.txt", b"1\n\x1c\n", r"line 2: found '\\x1c', expected a row"),
        ("in-shop", "Anno/attributes/list_attr_items.txt", "1\nx\na\u00a0b 1 1".encode(), "line 3: .*, expected a name"),
        ("in-shop", "Anno/list_bbox_inshop.txt", f"1\nx\n{A} 999 1 1 2 3 4".encode(), "line 3: found types .999, 1."),
        ("in-shop", "Anno/list_description_inshop.json", b"[" * 100_000, "found RecursionError"),
        ("fine", "Anno_fine/val.txt", b"\x1d\n", r"line 1: found '\\x1d', expected a row"),
    ],
)  # fmt: skip
def test_what_fuzzing_does_not_meet_every_time(kind, name, data, said):
    benchmark, options = ("category-attribute", {"fine": True}) if kind == "fine" else (kind, {})
    line = read_or_line(TREES[kind] | {name: data}, benchmark, **options)
    assert line.startswith(name) and re.search(said, line), line


@pytest.mark.parametrize("kind", MANIFESTS)
@FUZZ
@given(data=st.data())
def test_a_csv_manifest_is_read_or_one_line(kind, data):
    assert read_or_line({"photos.csv": MANIFESTS[kind]}, "manifest") is None
    line = read_or_line({"photos.csv": data.draw(spoilt(MANIFESTS[kind]))}, "manifest")
    assert line is None or "photos.csv" in line


def parquet(**options) -> bytes:
    rows = {
        "image": [A, B, C] * 40, "item": ["1", "1", "2"] * 40, "domain": ["consumer", "shop", "shop"] * 40,
        "attributes": [["a", "b"], None, []] * 40, "box": [[1, 2, 30, 40], None, None] * 40,
    }  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(rows), sink, row_group_size=50, **options)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("options", [{}, {"compression": "none", "use_dictionary": False}], ids=["usual", "plain"])
@FUZZ
@given(data=st.data())
def test_a_parquet_manifest_is_read_or_one_line(options, data):
    line = read_or_line({"photos.parquet": data.draw(spoilt(parquet(**options)))}, "manifest")
    assert line is None or "photos.parquet" in line


# Values of types that nobody means; each has a null.
BITS = pa.array([b"\xff", b"\xed\xa0\x80", None], pa.binary())
STRANGE = {
    "number": pa.array([2**62, -1, None]), "float": pa.array([float("nan"), 1e308, None]),
    "half": pa.array([1, 2, None], pa.float16()),
    "flag": pa.array([True, False, None]), "decimal": pa.array([1, 2, None], pa.decimal128(38, 10)),
    "late": pa.array([2**62, 0, None], pa.timestamp("us")), "nanoseconds": pa.array([1, 0, None], pa.timestamp("ns")),
    "nowhere": pa.array([1, 0, None], pa.timestamp("us", "Nowhere/At")),
    "date": pa.array([2**31 - 1, 0, None], pa.date32()),
    "while": pa.array([2**62, 0, None], pa.duration("us")), "time": pa.array([1, 0, None], pa.time64("us")),
    "texts": pa.array([["a"], [], None]), "numbers": pa.array([[1, 2, 3, 4], [], None]),
    "things": pa.array([[{"a": 1}], [], None]), "thing": pa.array([{"a": 1}, {"a": None}, None]),
    "map": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int32())),
    "picture": pa.array([{"bytes": b"x", "path": "p"}, {"bytes": None, "path": None}, None]),
    "no picture": pa.array([{"bytes": 1, "path": ["p"]}, {"bytes": None, "path": None}, None]),
    "bytes": pa.array([b"\xff", b"", None]), "four bytes": pa.array([b"abcd", b"efgh", None], pa.binary(4)),
    "no text": pa.Array.from_buffers(pa.string(), 3, BITS.buffers()), "nothing": pa.nulls(3),
    "dictionary": pa.array(["a", "b", None]).dictionary_encode(), "view": pa.array(["a", "b", None], pa.string_view()),
    "null character": pa.array(["\0", "a\nb", None]),
}  # fmt: skip


@pytest.mark.parametrize("column", ["image", "item", "domain", "split", "category", "attributes", "box", "x1"])
def test_columns_of_any_type_are_read_or_lines(column):
    usual = {"image": ["a.jpg", "b.jpg", "c.jpg"], "item": ["1", "2", "3"], "domain": ["shop", "consumer", "shop"]}
    for kind, values in STRANGE.items():
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(usual | {column: values}), sink)
        line = read_or_line({"photos.parquet": sink.getvalue().to_pybytes()}, "manifest")
        assert line is None or line.startswith("photos.parquet") or "rows cannot be used: photos.parquet" in line, (
            kind,
            line,
        )

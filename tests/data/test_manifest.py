import gzip
import tracemalloc

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from literal_trees import read_rows, write_tree

from fashion.data.formats.benchmarks import BENCHMARKS, read_annotations
from fashion.data.formats.manifest import read, read_box
from fashion.errors import InputError
from fashion.storage import Store

CSV = """image,item,domain,split,role,category,box,attributes,price
a/1.jpg,00012,consumer,,,Dress,10 20 110 220,red; long sleeve ,9.99
a/2.jpg,00012,shop,,,Dress,"[10.4, 20, 110, 220]",,
"b,3.png",x-7,shop,test,query,,,dotted,
b/4.png,x-7,consumer,test,gallery,,,,
"""


def test_only_image_item_and_domain_are_needed_and_the_rest_has_defaults(tmp_path):
    source = write_tree(tmp_path, {"mine.csv": "\ufeffdomain,item,image\r\nconsumer,7,a.jpg\r\nshop,7,b.jpg"})
    rows, warnings = read_rows("manifest", source)
    assert warnings == []
    unset = {"box", "category", "clothes_type", "pose", "attributes", "landmarks", "pairs", "description", "address"}
    rest = dict.fromkeys(unset)
    assert rows == {
        "a.jpg": {"item": "7", "image": "a.jpg", "domain": "consumer", "split": "train", "role": None, **rest},
        "b.jpg": {"item": "7", "image": "b.jpg", "domain": "shop", "split": "train", "role": None, **rest},
    }


def test_optional_columns_are_taken_where_they_hold_something(tmp_path):
    rows, _ = read_rows("manifest", write_tree(tmp_path, {"mine.csv": CSV}))
    told = {i: (r["item"], r["split"], r["role"], r["category"], r["box"], r["attributes"]) for i, r in rows.items()}
    assert told == {
        "a/1.jpg": ("00012", "train", None, "Dress", [10, 20, 110, 220], ["red", "long sleeve"]),
        "a/2.jpg": ("00012", "train", None, "Dress", [10, 20, 110, 220], None),
        "b,3.png": ("x-7", "test", "query", None, None, ["dotted"]),
        "b/4.png": ("x-7", "test", "gallery", None, None, None),
    }


def test_a_parquet_file_says_the_same_with_lists_numbers_and_corner_columns(tmp_path):
    table = pa.table(
        {
            "image": ["a.jpg", "b.jpg"],
            "item": pa.array([12, 12], pa.int64()),
            "domain": pa.array(["consumer", "shop"]).dictionary_encode(),
            "attributes": pa.array([["red", "dotted"], []], pa.list_(pa.string())),
            **{
                corner: pa.array([value, None])
                for corner, value in (("x1", 1.0), ("y1", 2.0), ("x2", 30.0), ("y2", 40.0))
            },
            "embedding": [[0.1] * 8] * 2,
        }
    )
    pq.write_table(table, tmp_path / "mine.parquet")
    rows, _ = read_rows("manifest", Store(tmp_path))
    assert [(r["item"], r["box"], r["attributes"]) for r in rows.values()] == [
        ("12", [1, 2, 30, 40], ["red", "dotted"]),
        ("12", None, []),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "a/2.jpg,00012,shop",
            "a/2.jpg,00012,Shelf",
            "line 3: domain 'Shelf'; expected consumer or shop; say what it means with --domains '{Shelf: consumer}'",
        ),
        ("x-7,shop,test", "x-7,shop,testing", "line 4: split 'testing'; expected train or val or test"),
        ("test,gallery", "test,both", "line 5: role 'both'; expected query or gallery"),
        ("a/1.jpg,00012", "a/1.jpg, ", "line 2: item is empty; expected a value in each row"),
        (
            "10 20 110 220",
            "10 20 110",
            "line 2: box ['10', '20', '110']; expected the four numbers x1 y1 x2 y2 in pixels",
        ),
        ("10 20 110 220", "10 20 110 nan", "line 2: box ['10', '20', '110', 'nan']; expected the four numbers"),
        ("Dress,10", "Dress,10,10", "line 2: found 10 cells, expected 9"),
        ("a/1.jpg", '"a"/1.jpg', "line 2: ',' expected after '\"'; a quote within quotes is written twice"),
        ("a/1.jpg", '"a\n"/1.jpg', "line 2: ',' expected after '\"'; a quote within quotes is written twice"),
    ],
)
def test_a_row_at_fault_is_named_with_its_line(tmp_path, old, new, message):
    source = write_tree(tmp_path, {"mine.csv": CSV.replace(old, new, 1)})
    with pytest.raises(InputError) as caught:
        read_rows("manifest", source)
    assert f"rows cannot be used: mine.csv, {message}" in str(caught.value) and "\n" not in str(caught.value)


def test_all_rows_at_fault_are_told_at_once_and_the_others_are_read(tmp_path):
    lines = ["image,item,domain,box"] + [f"{i}.jpg,1,{'shelf' if i % 4 == 0 else 'shop'}," for i in range(60)]
    lines[3:3] = ["too,many,shop,,cells", "few,1", '"open,1,shop', 'shut".jpg,1,shop', "b.jpg,1,shop,1 2 3"]
    source = write_tree(tmp_path, {"m.csv": "\n".join(lines)})
    told = []
    rows, _ = read_rows("manifest", source, reject=lambda *fault: told.append(fault))
    assert list(rows) == [f"{i}.jpg" for i in range(60) if i % 4]
    assert told[:5] == [
        ("m.csv, line 4", "too", "found 5 cells, expected 4"),
        ("m.csv, line 5", "few", "found 2 cells, expected 4"),
        ("m.csv, line 6", None, "',' expected after '\"'; a quote within quotes is written twice"),
        ("m.csv, line 7", None, "',' expected after '\"'; a quote within quotes is written twice"),
        ("m.csv, line 2", "0.jpg", told[4][2]),
    ]
    assert len(told) == 5 + 15 and ("m.csv, line 8", "b.jpg") in [fault[:2] for fault in told]
    with pytest.raises(InputError) as caught:
        read_rows("manifest", source)
    assert str(caught.value).startswith("20 rows cannot be used: m.csv, line 4: found 5 cells")
    assert str(caught.value).endswith("; and 10 more") and str(caught.value).count("m.csv, line") == 10


def test_where_no_row_can_be_used_the_reasons_are_told(tmp_path):
    source = write_tree(tmp_path, {"m.csv": "image,item,domain\n" + "a.jpg,1,Street\n" * 12})
    told = []
    with pytest.raises(InputError, match=r"^12 rows cannot be used: m.csv, line 2: domain 'Street'; .*; and 2 more$"):
        read_rows("manifest", source, reject=lambda *fault: told.append(fault))
    assert len(told) == 12


def test_line_numbers_count_blank_lines_and_line_breaks_in_quotes(tmp_path):
    text = 'image,item,domain,description\n\na.jpg,1,shop,"two\nlines"\n\nb.jpg,1,market,\n'
    with pytest.raises(InputError, match=r"mine.csv, line 6: domain 'market'"):
        read_rows("manifest", write_tree(tmp_path, {"mine.csv": text}))


def test_a_parquet_row_at_fault_is_named_by_its_number_across_batches(tmp_path):
    count = 12_345
    domains = ["shop"] * (count - 1) + ["shelf"]
    table = pa.table({"image": [f"{i}.jpg" for i in range(count)], "item": ["1"] * count, "domain": domains})
    pq.write_table(table, tmp_path / "m.parquet")
    with pytest.raises(InputError, match=rf"^1 rows cannot be used: m.parquet, row {count}: domain 'shelf'; expected"):
        read_rows("manifest", Store(tmp_path))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "found no CSV or Parquet file, expected one manifest there"),
        ({"a.csv": CSV, "b.csv": CSV}, "found a.csv, b.csv, expected one manifest there"),
        (
            {"a.csv": "image,item\n"},
            "a.csv: no column for domain; found 'image', 'item'; name the columns in line 1 image, item, domain, or say "
            "which they are with --columns '{domain: ...}'",
        ),
        (
            {"a.csv": "Photo URL;SKU;Domain;price\n"},
            "a.csv: no column for image, item; found 'Photo URL', 'SKU', 'Domain', 'price', of which closest: "
            "'Photo URL', 'SKU'; name the columns in line 1 image, item, domain, or say which they are with "
            "--columns '{image: Photo URL, item: SKU}'",
        ),
        ({"a.csv": "image,item,Item,ITEM,domain\nx,1,2,3,shop"}, ""),  # the exact name counts
        ({"a.csv": "image,Item,ITEM,domain\n"}, "the column name 'item' comes twice ('Item' and 'ITEM')"),
        ({"a.csv": "image,item,item,domain\n"}, "the column name 'item' comes twice"),
        (
            {"a.csv": 'image,item,domain\nx,1,shop\n"x,1,shop\n'},
            "a.csv, line 3: a quote opens here or below and is never",
        ),
        ({"a.csv": "image,item,domain\n" + 'x,"1,shop\n' + "x,1,shop\n" * 20_000}, "a.csv, line 2: a quote opens here"),
        ({"a.csv": b"PK\x03\x04\0\0\0\0\xff"}, "a.csv: found binary data, expected CSV as text"),
        ({"a.csv": b"image,item,domain\n\x81,1,shop\n"}, "a.csv: character maps to <undefined> in Windows-1252"),
        ({"a.csv": "image,item,domain".encode("utf-16")[:-1]}, "a.csv: truncated data in UTF-16; save it as UTF-8"),
        ({"a.csv.gz": gzip.compress(CSV.encode())[:-9]}, "a.csv.gz: Compressed file ended before"),
        ({"a.csv.gz": gzip.compress(CSV.encode())[:-8] + bytes(8)}, "a.csv.gz: CRC check failed"),
        ({"a.csv": ""}, "a.csv: no column for image, item, domain; found no column names"),
        ({"a.parquet": b"PAR1 but no more"}, "a.parquet: Parquet magic bytes not found in footer"),
    ],
)
def test_what_is_no_manifest_is_one_line(tmp_path, files, message):
    if not message:
        assert len(read_rows("manifest", write_tree(tmp_path, files))[0]) == 1
        return
    with pytest.raises(InputError) as caught:
        read_rows("manifest", write_tree(tmp_path, files))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_file_may_be_named(tmp_path):
    source = write_tree(tmp_path, {"a.csv": CSV, "lists/b.csv": "image,item,domain\nz.jpg,1,shop\n"})
    rows, _ = read_rows("manifest", source, manifest="lists/b.csv")
    assert list(rows) == ["z.jpg"]
    with pytest.raises(InputError, match=r"^c.parquet: not found in "):
        read_rows("manifest", source, manifest="c.parquet")


def test_unknown_benchmarks_and_options_are_refused_at_once(tmp_path):
    source = write_tree(tmp_path, {})
    with pytest.raises(InputError, match="benchmark 'inshop': expected one of in-shop, consumer-to-shop"):
        read_annotations("inshop", source)
    with pytest.raises(InputError, match="benchmark in-shop has no option 'fine'; it has none"):
        read_annotations("in-shop", source, fine=True)
    assert BENCHMARKS == ("in-shop", "consumer-to-shop", "category-attribute", "manifest")


@given(
    box=st.lists(st.integers(-50, 5000), min_size=4, max_size=4),
    write=st.sampled_from([list, str, lambda b: " ".join(map(str, b)), lambda b: "; ".join(map(str, b))]),
)
def test_a_box_reads_the_same_however_it_is_written(box, write):
    assert read_box([write(box)]) == read_box([*map(str, box)]) == read_box([None, *map(float, box)]) == box


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_rows(tmp_path, monkeypatch, kind):
    """Sixteen times the rows: nearly the same peaks of Python's and of Arrow's memory."""
    monkeypatch.setattr("fashion.data.formats.manifest_rows.BATCH_ROWS", 100)
    monkeypatch.setattr("fashion.data.formats.manifest_text._CHUNK", 1 << 14)
    peaks = []
    for count in (1_000, 16_000):
        images = [f"some/long/folder/name/{i:012d}.jpg" for i in range(count)]
        table = pa.table({"image": images, "item": [str(i // 4) for i in range(count)], "domain": ["shop"] * count})
        name = f"{count}.{kind}"
        if kind == "parquet":
            pq.write_table(table, tmp_path / name, row_group_size=1_000)
        else:
            pa_csv.write_csv(table, tmp_path / name)
        del table, images
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        rows = arrow = 0
        for batch in read(Store(tmp_path), pytest.fail, manifest=name):
            rows += batch.num_rows
            arrow = max(arrow, pa.total_allocated_bytes() - before)
        peaks.append((tracemalloc.get_traced_memory()[1], arrow))
        tracemalloc.stop()
        assert rows == count
    (python, arrow), (more_python, more_arrow) = peaks
    assert more_python < 1.2 * python and more_arrow < 1.2 * arrow, peaks

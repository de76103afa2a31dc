"""Manifests as retailers have them: every kind of file gives the rows it means, and says how it was read."""

import csv
import gzip
import io
import math
import re
import shlex
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from literal_trees import read_rows, write_tree

from fashion.data.formats.manifest import COLUMNS, read_text
from fashion.errors import InputError
from fashion.pipelines.prepare import PrepareSettings
from fashion.storage import Store
from jobs.cli import parse

PLAIN = "image,item,domain,category,box,attributes\na/é.jpg,7,shop,Röcke,1 2 30 40,red;dotted\nb.jpg,7,consumer,,,\n"
ROWS = {
    "a/é.jpg": ("7", "shop", "Röcke", [1, 2, 30, 40], ["red", "dotted"]),
    "b.jpg": ("7", "consumer", None, None, None),
}
BARE = {image: (item, domain, None, None, None) for image, (item, domain, *_) in ROWS.items()}
SEMICOLONS = PLAIN.replace(",", "|").replace(";", ",").replace("red,dotted", '"red;dotted"').replace("|", ";")
TABS = PLAIN.replace(",", "\t")
SHOUTED = "DOMAIN,Sku Nr,Item,image,,unnamed,,\nshop,9,7,a/é.jpg,,,,\nconsumer,9,7,b.jpg,x,y,z,\n"
MAPPED = "photo-url;SKU;Domain;image\na/é.jpg;7;shop;no\nb.jpg;7;consumer;no\n"


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


IMAGES = pa.array(["a/é.jpg", "b.jpg"])
LISTS = pa.table(
    {
        "image": IMAGES, "item": [7, 7], "domain": ["shop", "consumer"], "category": ["Röcke", None],
        "box": [[1, 2, 30, 40], None], "attributes": [["red", "dotted"], None],
    }
)  # fmt: skip
FLOATS = pa.table(
    {
        "Image": IMAGES, "ITEM": [7.0, 7.0], "Domain": ["Shop", "CONSUMER"], "category": ["Röcke", "nan"],
        **{corner: [float(value), math.nan] for corner, value in zip(("x1", "y1", "x2", "y2"), (1, 2, 30, 40), strict=True)},
        "attributes": pa.array([["red", "dotted"], None]),
    }
)  # fmt: skip
NUMBERS = pa.table(
    {
        "image": pa.array([b"a/1.jpg", b"2.jpg", b"3.jpg"], pa.string()), "domain": ["shop"] * 3,
        "item": pa.array([2.0, 2.5, 1e15]), "category": pa.array([3.0, math.nan, None]),
        "attributes": pa.array([[5.0, 6.5, math.nan], [], None]), "box": ["nan", "", None],
    }
)  # fmt: skip

ROECKE = "Röcke".encode()

# What the file is -> (name, bytes, settings, rows, how it says it was read).
KINDS = {
    "commas": ("m.csv", PLAIN, {}, ROWS, None),
    "a byte order mark, CRLF and no last newline": (
        "m.CSV", "\ufeff" + PLAIN.replace("\n", "\r\n").rstrip(), {}, ROWS, None,
    ),
    "lines that end with CR": ("m.csv", PLAIN.replace("\n", "\r"), {}, ROWS, None),
    "semicolons": ("m.csv", SEMICOLONS, {}, ROWS, "UTF-8, cells separated by semicolons"),
    "tabs": ("m.tsv", TABS, {}, ROWS, "UTF-8, cells separated by tabs"),
    "bars": ("m.csv", PLAIN.replace(",", "|"), {}, ROWS, "UTF-8, cells separated by bars"),
    "gzip": ("m.csv.gz", gzip.compress(PLAIN.encode()), {}, ROWS, "UTF-8, gzip, cells separated by commas"),
    "gzip in two members": (
        "m.tsv.gz", gzip.compress(TABS[:20].encode()) + gzip.compress(TABS[20:].encode()), {}, ROWS,
        "UTF-8, gzip, cells separated by tabs",
    ),
    "gzip under another name": (
        "m.csv", gzip.compress(PLAIN.encode()), {}, ROWS, "UTF-8, gzip, cells separated by commas",
    ),
    "no gzip under its name": ("m.csv.gz", PLAIN, {}, ROWS, None),
    "Latin-1": (
        "m.csv", PLAIN.encode("latin-1"), {}, ROWS, "Windows-1252 (Latin-1), cells separated by commas",
    ),
    "UTF-16 as Excel writes it": (
        "m.csv", TABS.replace("\n", "\r\n").encode("utf-16"), {}, ROWS, "UTF-16, cells separated by tabs",
    ),
    "UTF-16, big end first": (
        "m.csv", ("\ufeff" + PLAIN).encode("utf-16-be"), {}, ROWS, "UTF-16, cells separated by commas",
    ),
    "UTF-16 without a mark": ("m.csv", PLAIN.encode("utf-16-le"), {}, ROWS, "UTF-16, cells separated by commas"),
    "headers in another case and order, some blank, some alike": ("m.csv", SHOUTED, {}, BARE, None),
    "headers that a setting maps": (
        "m.csv", MAPPED, {"columns": {"image": "Photo URL", "item": "sku"}}, BARE,
        "UTF-8, cells separated by semicolons",
    ),
    "domains that a setting maps": (
        "m.csv", PLAIN.replace("shop", "Catalogue").replace("consumer", "STREET"),
        {"domains": {"catalogue": "shop", "street": "consumer", "customer": "consumer"}}, ROWS, None,
    ),
    "domains in capitals": ("m.csv", PLAIN.replace("shop", "Shop").replace("consumer", " CONSUMER "), {}, ROWS, None),
    "cells without a value": (
        "m.csv", PLAIN.replace("consumer,,,", "consumer, NaN,nan,<NA>"), {}, ROWS, None,
    ),
    "quoted cells with newlines, delimiters and quotes": (
        "m.csv", 'image,item,domain,category\n"a,\n""1"".jpg","7\r\n8",shop,\n', {},
        {'a,\n"1".jpg': ("7\r\n8", "shop", None, None, None)}, None,
    ),
    "Parquet with lists": ("m.parquet", parquet(LISTS), {}, ROWS, None),
    "Parquet with floats, as pandas has it": ("m.parquet", parquet(FLOATS), {}, ROWS, None),
    "Parquet with categories of pandas": (
        "m.parquet", parquet(LISTS.set_column(2, "domain", LISTS["domain"].dictionary_encode())), {}, ROWS, None,
    ),
    "Parquet with numbers for names": (
        "m.parquet", parquet(NUMBERS), {},
        {
            "a/1.jpg": ("2", "shop", "3", None, ["5", "6.5"]),
            "2.jpg": ("2.5", "shop", None, None, []),
            "3.jpg": ("1000000000000000", "shop", None, None, None),
        },
        None,
    ),
    "Parquet with text as bytes": (
        "m.parquet",
        parquet(LISTS.set_column(1, "item", pa.array([b"7"] * 2)).set_column(3, "category", pa.array([ROECKE, None]))),
        {}, ROWS, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_its_rows_and_says_how_it_was_read(tmp_path, kind):
    name, content, options, expected, said = KINDS[kind]
    rows, notes = read_rows("manifest", write_tree(tmp_path, {name: content}), **options)
    columns = ("item", "domain", "category", "box", "attributes")
    assert {image: tuple(row[column] for column in columns) for image, row in rows.items()} == expected
    assert notes == ([f"{name}: read as {said}"] if said else [])


def test_one_damaged_line_of_utf8_is_set_aside_and_does_not_make_the_file_latin1(tmp_path):
    content = PLAIN.encode() + "c/ü.jpg,7,shop,,,\n".encode() + b"d/\xfc.jpg,7,shop,,,\n"
    told = []
    rows, _ = read_rows("manifest", write_tree(tmp_path, {"m.csv": content}), reject=lambda *fault: told.append(fault))
    assert list(rows) == ["a/é.jpg", "b.jpg", "c/ü.jpg"]
    assert told == [("m.csv, line 5", None, "found bytes that are not UTF-8, as the other lines are")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"photo": "image"}}, "columns: found 'photo', expected one of image, item, domain"),
        ({"domains": {"street": "customer"}}, "domains: found street: customer, expected consumer or shop on the right"),
        (
            {"columns": {"image": "foto", "item": "a-b: c"}},
            "m.csv: no column for image ('foto'), item ('a-b: c'); found 'image', 'item', 'domain', 'category', 'box', "
            "'attributes', of which closest: 'image', 'item'; name the columns in line 1 image, item, domain, or say which "
            "they are with --columns '{image: image, item: item}'",
        ),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_one_line(tmp_path, options, message):
    with pytest.raises(InputError) as caught:
        read_rows("manifest", write_tree(tmp_path, {"m.csv": PLAIN}), **options)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_cells_that_hold_no_value_are_named_without_their_content(tmp_path):
    table = pa.table(
        {
            "image": pa.array(["a.jpg", "b.jpg"]), "item": pa.array([b"\xff\xd8secret", b"7"]),
            "domain": ["shop", "shop"], "category": pa.array([["x"], ["y"]]),
        }
    )  # fmt: skip
    told = []
    with pytest.raises(InputError) as caught:
        read_rows("manifest", write_tree(tmp_path, {"m.parquet": parquet(table)}), reject=lambda *f: told.append(f))
    assert "secret" not in str(caught.value)
    assert told == [
        ("m.parquet, row 1", "a.jpg", "item holds bytes; expected text"),
        ("m.parquet, row 2", "b.jpg", "category holds a list; expected one value"),
    ]


@given(number=st.integers(-(2**53), 2**53))
def test_whole_numbers_are_one_name_whatever_their_type(number):
    assert read_text(number) == read_text(float(number)) == read_text(str(number)) == read_text(Decimal(number))


# Latin-1 beyond ASCII from À on: no two such bytes are UTF-8 by chance.
_LATIN = "abcXYZ019 _-./\"',;|\t#%&=+ÀÉßéüÿ"
_CODECS = {"utf-8": "漢字🧥", "utf-8-sig": "漢字🧥", "utf-16": "漢字🧥", "cp1252": ""}


@st.composite
def manifests(draw):
    """(bytes of a file, the rows that were written)."""
    codec = draw(st.sampled_from(sorted(_CODECS)))
    delimiter = draw(st.sampled_from(",;\t|"))
    alphabet = st.sampled_from(_LATIN + _CODECS[codec] + "\n")
    texts = st.text(alphabet, max_size=12).map(str.strip)
    named = st.text(alphabet, min_size=1, max_size=12).map(lambda text: f"i{text}".strip())
    row = st.fixed_dictionaries(
        {
            "image": named, "item": named, "domain": st.sampled_from(["consumer", "shop"]),
            "split": st.sampled_from(["train", "val", "test"]), "category": texts, "description": texts,
        }
    )  # fmt: skip
    rows = draw(st.lists(row, min_size=1, max_size=5, unique_by=lambda row: row["image"]))
    order = draw(st.permutations(list(rows[0])))
    style = draw(st.sampled_from([str, str.upper, str.title, lambda name: f" {name[:1]}-{name[1:]} "]))
    out = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer = csv.writer(out, delimiter=delimiter, lineterminator=draw(st.sampled_from(["\n", "\r\n"])), quoting=quoting)
    writer.writerows([[style(name) for name in order], *([row[name] for name in order] for row in rows)])
    data = out.getvalue().encode(codec)
    return gzip.compress(data) if draw(st.booleans()) else data, rows


@settings(deadline=None)
@given(manifests())
def test_what_was_written_is_what_is_read(tmp_path_factory, written):
    data, expected = written
    source = Store(tmp_path_factory.mktemp("manifest"))
    source.write("m.csv", data)
    rows, _ = read_rows("manifest", source)
    assert list(rows) == [row["image"] for row in expected]
    for row in expected:
        assert {name: rows[row["image"]][name] for name in row} == {name: cell or None for name, cell in row.items()}


def test_every_field_may_be_mapped(tmp_path):
    header = ",".join(f"column {number}" for number in range(len(COLUMNS)))
    cells = {
        "image": "a.jpg",
        "item": "1",
        "domain": "shop",
        "x1": "1",
        "y1": "2",
        "x2": "30",
        "y2": "40",
        "role": "query",
    }
    source = write_tree(tmp_path, {"m.csv": f"{header}\n" + ",".join(cells.get(name, "") for name in COLUMNS)})
    rows, _ = read_rows("manifest", source, columns={name: f"Column_{i}" for i, name in enumerate(COLUMNS)})
    assert rows["a.jpg"]["box"] == [1, 2, 30, 40] and rows["a.jpg"]["role"] == "query"


def test_the_example_in_the_documentation_is_read_as_it_says(tmp_path):
    page = (Path(__file__).parents[2] / "docs/manifest.md").read_text()
    (example,) = re.findall(r"```csv\n(.*?)```", page, re.DOTALL)
    rows, notes = read_rows("manifest", write_tree(tmp_path, {"m.csv": example}))
    assert len(rows) == 10 and not notes
    assert [row["item"] for row in rows.values()] == ["1001"] * 3 + ["1002"] * 3 + ["1003"] * 2 + ["1004"] * 2
    assert rows["shop/1001.jpg"]["box"] == [40, 20, 310, 580]
    assert rows["https://cdn.example.com/1003.jpg"]["attributes"] == ["floral", '"maxi"']
    listed = re.findall(
        r"`(\w+)`", " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    )
    assert sorted(listed) == sorted(COLUMNS)


@pytest.mark.parametrize("said", ["Street", "0", "No", "client's own", 'say "shop"', "Kunde: {neu}", "客户", "a  b"])
def test_the_flag_that_an_error_tells_is_one_that_helps(tmp_path, said):
    source = write_tree(tmp_path, {"m.csv": f'image,item,domain\na.jpg,1,"{said.replace(chr(34), chr(34) * 2)}"\n'})
    with pytest.raises(InputError, match="--domains") as caught:
        read_rows("manifest", source)
    _, _, told = str(caught.value).partition("--domains ")
    (value,) = shlex.split(told)
    domains = parse(
        PrepareSettings, ["--source", "a", "--out", "b", "--benchmark", "manifest", "--domains", value]
    ).domains
    assert read_rows("manifest", source, domains=domains)[0]["a.jpg"]["domain"] == "consumer"

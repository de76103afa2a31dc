"""Pictures inside a Parquet file, as Hugging Face publishes data sets."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogues import jpeg, picture
from literal_trees import read_rows

from fashion.data.formats.benchmarks import read_annotations
from fashion.data.pictures.folder import Pictures
from fashion.data.pictures.parquet import pick
from fashion.data.prepare.pack import pack_shard
from fashion.data.schema import ANNOTATIONS
from fashion.errors import InputError
from fashion.storage import Store

PHOTO = jpeg(picture(0))
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(folder, images, kind=STRUCT, *, name="train.parquet", column="image", **options):
    count = len(images)
    table = pa.table(
        {
            "label": [i % 3 for i in range(count)], column: pa.array(images, kind),
            "item": [i // 2 for i in range(count)], "domain": ["shop", "consumer"] * (count // 2),
        }
    )  # fmt: skip
    pq.write_table(table, folder / name, **options)
    return Store(folder)


def pack(source, rows):
    table = pa.Table.from_pylist(list(rows.values()), ANNOTATIONS)
    packed = pack_shard(table, Pictures(source), crop=False, size=None)
    found = {p["image"]: p["jpeg"] for item in packed.items.to_pylist() for p in item["images"]}
    return found, {row["image"]: row["reason"] for row in packed.quarantine.to_pylist()}


def test_bytes_are_taken_from_their_rows_and_the_path_or_the_row_is_the_name(tmp_path):
    photos = [jpeg(picture(i)) for i in range(8)]
    images = [{"bytes": photo, "path": f"{i}.jpg" if i % 2 else None} for i, photo in enumerate(photos)]
    source = write(tmp_path, images, column="photo/é", row_group_size=3)
    rows, notes = read_rows("manifest", source, columns={"image": "photo/é", "category": "label"})
    assert list(rows) == ["row 1", "1.jpg", "row 3", "3.jpg", "row 5", "5.jpg", "row 7", "7.jpg"] and not notes
    assert [row["category"] for row in rows.values()] == [str(i % 3) for i in range(8)]
    assert pack(source, rows) == (dict(zip(rows, photos, strict=True)), {})
    scattered = {image: rows[image] for image in ("row 7", "1.jpg", "row 5")}  # as a shard holds them
    assert list(pack(source, scattered)[0].values()) == [photos[6], photos[1], photos[4]]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.struct([("bytes", pa.large_binary())])])
def test_bytes_without_paths(tmp_path, kind):
    photos = [jpeg(picture(i)) for i in range(4)]
    source = write(tmp_path, [{"bytes": p} for p in photos] if pa.types.is_struct(kind) else photos, kind)
    rows, _ = read_rows("manifest", source)
    assert pack(source, rows) == ({f"row {i + 1}": photo for i, photo in enumerate(photos)}, {})


def test_where_there_are_paths_alone_they_are_files_and_a_row_without_either_is_set_aside(tmp_path):
    (tmp_path / "img").mkdir()
    (tmp_path / "img/a.jpg").write_bytes(PHOTO)
    images = [{"bytes": None, "path": "img/a.jpg"}, {"bytes": None, "path": "img/none.jpg"}]
    images += [
        {"bytes": PHOTO, "path": "c.jpg"},
        {"bytes": None, "path": "img/a2.jpg"},
        {"bytes": b"no", "path": "d.jpg"},
    ]
    source = write(tmp_path, [*images, None], row_group_size=2)
    rows, _ = read_rows("manifest", source)
    found, bad = pack(source, rows)
    assert found == {"img/a.jpg": PHOTO, "c.jpg": PHOTO}
    assert bad.pop("d.jpg") and bad == {
        "img/none.jpg": "the file is not there",
        "img/a2.jpg": "its row in the Parquet file holds no picture",
        "row 6": "its row in the Parquet file holds no picture",
    }


def test_bytes_are_in_no_message(tmp_path):
    images = [{"bytes": b"\xff\xd8secret", "path": b"\xff\xd8secret"}] * 2
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.binary())])
    source = write(tmp_path, images, kind)
    told = []
    with pytest.raises(InputError) as caught:
        read_rows("manifest", source, reject=lambda *fault: told.append(fault))
    assert "secret" not in str(caught.value)
    assert told == [(f"train.parquet, row {i}", None, "image holds bytes; expected text") for i in (1, 2)]


def test_a_large_file_is_never_held_whole(tmp_path):
    """One row group of 64 MB in 100 KB pictures: neither reading the annotations nor picking pictures holds much of it."""
    noise = bytes(range(256)) * 400
    images = [{"bytes": noise + i.to_bytes(4, "big"), "path": f"{i}.jpg"} for i in range(640)]
    source = write(tmp_path, images, use_dictionary=False, compression="none", write_batch_size=8)
    del images
    before, held = pa.total_allocated_bytes(), []
    for batch in read_annotations("manifest", source):
        held.append(pa.total_allocated_bytes() - before)
        assert batch.num_rows == 640
    assert max(held) < 4e6
    held, seen = [], []
    for _, row, data in pick(source, "train.parquet", "image", {0: set(range(0, 640, 3))}):
        held.append(pa.total_allocated_bytes() - before)
        assert data[-4:] == row.to_bytes(4, "big")
        seen.append(row)
    assert seen == list(range(0, 640, 3)) and max(held) < 30e6

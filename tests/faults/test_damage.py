"""A bit that storage flips, or a file that it cuts short, is found where it is read, in one line with the file's name."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from fashion.data.schema import items_file
from fashion.errors import InputError
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.retrieval.embeddings import layout, read_embeddings, to_table
from fashion.storage import Store
from fashion.training.checkpoint import TRAINING, read_training_state, write_checkpoint
from fashion.training.history import EpochRow
from tests.catalogues import make_table, photos, run_record


def flip(store, name, at):
    data = bytearray(store.read(name))
    data[at] ^= 1
    store.write(name, bytes(data))


def test_a_flipped_byte_of_a_picture_is_not_trained_on(tmp_path):
    table = make_table(Store(tmp_path), photos(8))
    name = table.shards("test")[0].name
    table.read(name, 0)
    flip(table.store, items_file(name), len(table.store.read(items_file(name))) // 3)
    for read in (lambda: table.read(name, 0), lambda: table.image_rows(name)):
        with pytest.raises(
            InputError, match=rf"{items_file(name)}: is damaged \(.*CRC.*\); delete it and make it again"
        ):
            read()


def test_a_flipped_byte_of_an_embedding_is_not_searched(tmp_path):
    store = Store(tmp_path)
    z_ND = np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)
    rows = to_table(pa.table({"image": [f"{i}.jpg" for i in range(50)]}), {"embedding": z_ND}, {})
    store.write_table("test/shard-00000.parquet", rows, **layout(rows))
    assert np.array_equal(read_embeddings(store, ["test/shard-00000"]).vectors["embedding"], z_ND)
    data = store.read("test/shard-00000.parquet")
    flip(store, "test/shard-00000.parquet", data.index(z_ND[20].tobytes()))
    with pytest.raises(InputError, match=r"test/shard-00000.parquet: is damaged"):
        read_embeddings(store, ["test/shard-00000"])


@pytest.mark.parametrize("length", [0, 3, 100, -100, -1])
def test_a_shard_cut_short_is_one_line(tmp_path, length):
    store = Store(tmp_path)
    store.write_table("x.parquet", pa.table({"a": list(range(1000))}))
    store.write("x.parquet", store.read("x.parquet")[:length])
    with pytest.raises(InputError, match=r"x\.parquet: is damaged") as found:
        store.read_table("x.parquet")
    assert "\n" not in str(found.value)


def test_what_the_storage_says_is_no_damage(tmp_path):
    with pytest.raises(FileNotFoundError):
        Store(tmp_path).read_table("x.parquet")


@pytest.mark.parametrize("how", ["flipped", "cut"])
def test_a_damaged_training_state_is_not_gone_on_from(tmp_path, how):
    network = build_network(NetworkSettings(name="embnet", width=0.125, dimension=8, size=32, pretrained=None), seed=1)
    run = run_record({"epochs": 1, "seed": 0, "batch": {"crop": "whole"}})
    state = {"optimizer": torch.arange(1000.0)}
    write_checkpoint(str(tmp_path), network, state, history=[EpochRow(epoch=4)], run=run)
    assert torch.equal(read_training_state(str(tmp_path))[0]["optimizer"], state["optimizer"])
    store = Store(tmp_path)
    if how == "cut":
        store.write(TRAINING, store.read(TRAINING)[:-10])
    else:
        flip(store, TRAINING, store.read(TRAINING).index(state["optimizer"].numpy().tobytes()) + 999)
    with pytest.raises(InputError, match=r"^checkpoint_epoch=0004/training.pt of the run is damaged"):
        read_training_state(str(tmp_path))


def test_no_flipped_bit_of_a_table_gives_other_rows(tmp_path):
    """Parquet checks its pages alone: without the seal, one bit in forty of the footer gave other rows without a word. (Two
    bits of the header of each page of lists still do.)"""
    store = Store(tmp_path)
    rows = pa.table({"a": list(range(50)), "b": [f"{i}" for i in range(50)], "c": [0.5, None] * 25})
    store.write_table("x.parquet", rows, row_group_size=20)
    whole, found = store.read("x.parquet"), Counter()
    for at in range(len(whole)):
        store.write("x.parquet", whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        try:
            assert store.read_table("x.parquet") == rows, at
            found["no matter"] += 1
        except InputError as fault:
            assert "x.parquet: is damaged" in str(fault) and "\n" not in str(fault)
            found["refused"] += 1
    assert found["refused"] > 3 * found["no matter"] and found["refused"] > 1000


def test_no_flipped_bit_of_json_gives_other_values(tmp_path):
    store, value = Store(tmp_path), {"epoch": 3, "loss": [0.25, 1e-7, None], "name": "é", "deep": {"a": {"b": True}}}
    store.write_json("x.json", value)
    assert store.read_json("x.json") == value
    whole = store.read("x.json")
    for bit in range(8 * len(whole)):
        flip_bit(store, "x.json", whole, bit)
        try:
            held = store.read_json("x.json")
        except InputError as fault:
            assert "x.json: is damaged" in str(fault)
        else:
            # Blanks between values; or the name of the checksum, beside which all is as it was.
            assert {name: held[name] for name in value} == value and len(held) <= len(value) + 1


def flip_bit(store, name, whole, bit):
    store.write(name, whole[: bit // 8] + bytes([whole[bit // 8] ^ (1 << bit % 8)]) + whole[bit // 8 + 1 :])


@pytest.mark.parametrize("data", [b"", b"{", b"null", b"[" * 100_000, b'{"a": 1}\0', b"\xff\xfe"])
def test_what_is_no_json_is_one_line(tmp_path, data):
    store = Store(tmp_path)
    store.write("x.json", data)
    if data == b"null":
        assert store.read_json("x.json") is None
        return
    with pytest.raises(InputError, match=r"x\.json: is damaged") as found:
        store.read_json("x.json")
    assert "\n" not in str(found.value)


def test_files_of_others_and_older_ones_are_read(tmp_path):
    store, rows = Store(tmp_path), pa.table({"a": list(range(9))})
    pq.write_table(rows, tmp_path / "x.parquet")
    (tmp_path / "x.json").write_text('{"a": 1}')
    assert store.read_table("x.parquet") == rows and store.read_json("x.json") == {"a": 1}
    store.write_table("y.parquet", rows)
    assert pq.read_table(tmp_path / "y.parquet") == rows  # and by others
    wide = pa.table({f"a column with a long name {i}": [i] for i in range(2000)})  # more footer than is read at once
    store.write_table("z.parquet", wide)
    assert store.read_table("z.parquet") == wide
    flip(store, "z.parquet", len(store.read("z.parquet")) - 70_000)
    with pytest.raises(InputError, match="footer's checksum"):
        store.read_table("z.parquet")

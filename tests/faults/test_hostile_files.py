"""Files from anybody: nothing in them is executed, none crashes or hangs a job or takes more memory than a picture may."""

import io
import json
import pickle
import random
import struct
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pillow_heif import register_heif_opener
from torch import hub
from torchvision import models

from fashion.data.decode import BadPicture, check, decode, shrunk
from fashion.errors import InputError
from fashion.networks.files import read_network, save_network
from fashion.networks.model import build_network
from fashion.networks.pretrained import read_weights
from fashion.networks.settings import NetworkSettings
from fashion.storage import Store
from fashion.training.checkpoint import TRAINING, read_training_state, write_checkpoint
from fashion.training.history import EpochRow
from tests.catalogues import picture, run_record
from tests.faults.fuzz import FUZZ

NETWORK = NetworkSettings(name="embnet", width=0.125, dimension=8, size=32, pretrained=None)


class Evil:
    """Unpickled, it writes a file."""

    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        return Path.write_text, (Path(self.file), "executed")


def zipped(value) -> bytes:
    data = io.BytesIO()
    torch.save(value, data)
    return data.getvalue()


@pytest.mark.parametrize("dump", [pickle.dumps, zipped], ids=["pickle", "torch"])
def test_a_pickle_in_a_checkpoint_is_not_executed(tmp_path, dump):
    run = run_record({"epochs": 1, "seed": 0, "batch": {"crop": "whole"}})
    write_checkpoint(str(tmp_path), build_network(NETWORK, seed=1), {}, history=[EpochRow(epoch=0)], run=run)
    (tmp_path / TRAINING).write_bytes(dump(Evil(tmp_path / "executed")))
    about = Store(tmp_path).read_json("checkpoint.json")
    Store(tmp_path).write_json("checkpoint.json", {k: v for k, v in about.items() if k != "files"})  # as of older ones
    with pytest.raises(InputError, match="holds no training state") as found:
        read_training_state(str(tmp_path))
    assert not (tmp_path / "executed").exists() and "\n" not in str(found.value)


@pytest.mark.parametrize("dump", [pickle.dumps, zipped], ids=["pickle", "torch"])
def test_a_pickle_in_the_cache_of_published_weights_is_not_executed(tmp_path, monkeypatch, dump):
    """torch.hub compares hashes of what it downloads, not of what lies there."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = models.get_model_weights("resnet18")["IMAGENET1K_V1"].url.rpartition("/")[2]
    file = Path(hub.get_dir()) / "checkpoints" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(dump(Evil(tmp_path / "executed")))
    with pytest.raises(InputError, match=r"network.pretrained: .*"):
        read_weights(NetworkSettings(name="resnet18", pretrained="IMAGENET1K_V1"))
    assert not (tmp_path / "executed").exists()


@pytest.fixture(scope="module")
def network_file(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("network"))
    save_network(store, "n.safetensors", build_network(NETWORK, seed=1), {"seed": 1})
    return store.read("n.safetensors")


@FUZZ
@given(data=st.data())
def test_a_network_file_is_itself_or_refused(network_file, data):
    header = 8 + int.from_bytes(network_file[:8], "little")
    at = data.draw(st.integers(0, header - 1) | st.integers(0, len(network_file) - 1))
    bit = data.draw(st.integers(0, 7))
    spoilt = network_file[:at] + bytes([network_file[at] ^ (1 << bit)]) + network_file[at + 1 :]
    if data.draw(st.booleans()):
        spoilt = network_file[:at]
    try:
        network, _ = read_network(spoilt, "n.safetensors")
    except InputError as fault:
        assert "n.safetensors" in str(fault)
    else:  # a bit of what the file says beside the network
        whole, _ = read_network(network_file, "n.safetensors")
        assert all(torch.equal(a, b) for a, b in zip(network.parameters(), whole.parameters(), strict=True))


register_heif_opener()


def encoded(kind: str, size=(40, 50), **options) -> bytes:
    data = io.BytesIO()
    picture(3, *size).save(data, kind, **options)
    return data.getvalue()


PICTURES = {
    "jpeg": encoded("JPEG"), "progressive": encoded("JPEG", progressive=True), "png": encoded("PNG"),
    "webp": encoded("WEBP"), "tiff": encoded("TIFF", compression="tiff_adobe_deflate"), "gif": encoded("GIF"),
    "bmp": encoded("BMP"), "avif": encoded("AVIF"), "jpeg2000": encoded("JPEG2000"), "ppm": encoded("PPM"),
    "heic": encoded("HEIF"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # as codecs does; pytest sets its own filters
@pytest.mark.parametrize("kind", PICTURES)
def test_a_spoilt_picture_is_decoded_or_bad(kind):
    whole, rng = PICTURES[kind], random.Random(kind)
    for _ in range(120):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 3, 20))):
            place = rng.randrange(min(len(data), rng.choice((30, 100, len(data)))))
            how = rng.randrange(4)
            if how == 0:
                data[place] ^= 1 << rng.randrange(8)
            elif how == 1:
                data[place : place + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
            elif how == 2:
                del data[place : place + rng.randrange(1, 40)]
            else:
                data[place:place] = rng.randbytes(rng.randrange(1, 40))
            if not data:
                break
        for use in (check, lambda d: decode(d, (16, 16)), lambda d: shrunk(d, 16)):
            try:
                use(bytes(data))
            except BadPicture as fault:
                assert str(fault) and "\n" not in str(fault)


@FUZZ
@given(
    data=st.binary(max_size=300),
    kind=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"II*\0"]),
)
def test_what_only_begins_like_a_picture_is_bad(data, kind):
    for use in (check, decode):
        with pytest.raises(BadPicture):
            use(kind + data)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize("name", [b"zTXt", b"iCCP", b"iTXt"])
def test_a_png_that_unpacks_to_much_beside_its_pixels_is_bad_or_read_without(name):
    packed = (b"k\0\1\0\0\0" if name == b"iTXt" else b"k\0\0") + zlib.compress(bytes(1 << 28), 1)
    small = PICTURES["png"]
    with suppress(BadPicture):
        decode(small[:33] + chunk(name, packed) + small[33:], (16, 16))


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "AVIF", "HEIF", "GIF", "JPEG"])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(kind, monkeypatch):
    """The format's own limit may be lower than ours: ours is lowered."""
    data = encoded(kind, (400, 300))
    for module in ("fashion.data.decode", "fashion.data.codecs"):
        monkeypatch.setattr(f"{module}.MOST_PIXELS", 100_000, raising=False)
    for use in (check, decode):
        with pytest.raises(BadPicture, match=r"more than .* pixels"):
            use(data)


@FUZZ
@given(
    text=st.text(max_size=200)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ).map(json.dumps)
)
def test_json_that_anybody_wrote_is_read_or_one_line(text):
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.write("x.json", text.encode("utf-8", "surrogatepass"))
        try:
            store.read_json("x.json")
        except InputError as fault:
            assert "x.json: is damaged" in str(fault) and "\n" not in str(fault)


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system [touch executed]", "!!python/name:os.system ''", "!x y"]
)
def test_a_tag_in_a_file_of_settings_is_not_executed(tmp_path, monkeypatch, tag):
    from fashion.retrieval.settings import GateSettings
    from jobs.cli import parse

    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(f"metric: {tag}\n")
    with pytest.raises(InputError, match=r"config: x.yaml: not YAML: could not determine a constructor"):
        parse(GateSettings, ["--config", "x.yaml"])
    assert not (tmp_path / "executed").exists()

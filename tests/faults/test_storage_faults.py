"""Storage that fails: tried again where that can help, else one error in bounded time; never a part of a file."""

import pickle
import time
import uuid

import numpy as np
import pyarrow as pa
import pytest

from cluster.storage import check_storage
from fashion import addresses
from fashion.errors import InputError
from fashion.storage import Store
from tests.faults.proxy import flipped, lost, reset, short, silent, status, torn

DATA = np.random.default_rng(0).bytes(300_000)
TABLE = pa.table({"a": np.arange(200_000), "b": [str(i) for i in range(200_000)]})
BUSY = {
    "503": status(503, "SlowDown"), "500": status(500, "InternalError"),
    "reset": reset, "answer lost": lost, "torn": torn,
}  # fmt: skip


@pytest.fixture
def store(s3, monkeypatch):
    s3.create_bucket(Bucket="faulty")
    monkeypatch.setattr(addresses, "ATTEMPTS", 5)
    monkeypatch.setattr(addresses, "SILENCE_S", 1.0)
    store = Store(f"s3://faulty/{uuid.uuid4().hex}")
    store.write("data", DATA)
    store.write_json("a.json", {"a": list(range(100))})
    store.write_table("a.parquet", TABLE)
    return store


def use(store):
    """All that is done with storage."""
    assert store.read("data") == DATA
    assert store.read_table("a.parquet").equals(TABLE) and store.read_table("a.parquet", ["b"]).num_rows == 200_000
    assert store.read_json("a.json") == {"a": list(range(100))}
    assert store.exists("data") and len(store.names()) >= 3
    store.write("more", DATA)
    store.write("large", DATA * 40)  # in parts
    assert store.read("large") == DATA * 40
    store.delete("more")
    assert not store.exists("more")


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("GET", "torn"), ("GET", "reset"), ("GET", "503"), ("HEAD", "500"), ("HEAD", "answer lost"), ("PUT", "503"),
        ("PUT", "answer lost"), ("POST", "reset"), ("POST", "500"), ("DELETE", "503"),
    ],
)  # fmt: skip
def test_what_passes_is_not_noticed(store, s3_proxy, method, name):
    with s3_proxy.faulty(BUSY[name], f"^{method} .*{store.path}", times=2) as fault:
        use(store)
    assert fault.hits == (2 if method != "DELETE" else fault.hits)


def test_a_pickled_filesystem_is_as_patient(store, s3_proxy):
    """Ray Train and Ray Tune are handed pickles; pyarrow's own forgets how often it is to try."""
    copy = pickle.loads(pickle.dumps(store.fs))
    assert copy == store.fs and type(copy) is type(store.fs)
    with s3_proxy.faulty(BUSY["503"], "^HEAD", times=3) as fault, copy.open_input_file(store.at("data")) as file:
        assert file.read() == DATA and fault.hits == 3


def test_minutes_of_a_busy_bucket_are_waited_out():
    """By the SDK's rule: twice as long each time, up to 20 s, of which a random part is waited."""
    waits = [min(2**i, 20) for i in range(addresses.ATTEMPTS - 1)]
    assert sum(waits) / 2 > 60 and addresses.ATTEMPTS * addresses.SILENCE_S + sum(waits) < 400


@pytest.mark.parametrize("name", ["503", "reset", "torn", "silent"])
def test_what_does_not_pass_is_an_error_in_bounded_time(store, s3_proxy, monkeypatch, name):
    monkeypatch.setattr(addresses, "ATTEMPTS", 2)
    patient = Store(store.uri)
    with s3_proxy.faulty(BUSY.get(name, silent(3)), f"^GET .*{store.path}/data"):
        began = time.monotonic()
        with pytest.raises(OSError):
            patient.read("data")
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("answer", [status(403, "AccessDenied"), status(400, "ExpiredToken")])
def test_what_cannot_pass_is_not_tried_again(store, s3_proxy, answer):
    for act in (lambda: store.read("data"), lambda: store.exists("data"), lambda: store.write("new", DATA)):
        with s3_proxy.faulty(answer, store.path) as fault, pytest.raises(OSError):
            act()
        assert fault.hits == 1
    assert not store.exists("new")


@pytest.mark.parametrize("act", [short, flipped])
@pytest.mark.parametrize("name", ["a.json", "a.parquet"])
def test_other_bytes_than_were_written_are_asked_for_again_and_then_refused(store, s3_proxy, name, act):
    """A body that is shorter than the file but not than its Content-Length: pyarrow makes up the rest."""
    read = store.read_json if name.endswith("json") else store.read_table
    whole = read(name)
    with s3_proxy.faulty(act, f"^GET .*{store.path}/{name}", times=1):
        assert read(name) == whole
    with s3_proxy.faulty(flipped, f"^GET .*{store.path}/{name}") as fault:
        with pytest.raises(InputError, match=f"{name}: is damaged"):
            read(name)
        assert fault.hits > 1


def test_a_bucket_that_is_busy_is_there(store, s3_proxy):
    with s3_proxy.faulty(BUSY["503"], "^HEAD /faulty"):
        check_storage("data", "s3://faulty/x")
    denied = pytest.raises(InputError, match=r"^data: bucket 'faulty': these credentials may not use it")
    with s3_proxy.faulty(status(403, "AccessDenied"), "^HEAD /faulty"), denied:
        check_storage("data", "s3://faulty/x")

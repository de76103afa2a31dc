"""Storage that fails: tried again where that can help, else one error in bounded time; never a part of a file."""

import json
import pickle
import re
import threading
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pyarrow as pa
import pytest

from cluster.storage import check_storage
from fashion import addresses
from fashion.errors import InputError
from fashion.storage import Store
from tests.faults.proxy import Answer, flipped, lost, reset, short, silent, status, torn

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


def test_credentials_that_are_renewed_are_renewed_in_what_is_open(s3, s3_proxy, monkeypatch):
    """A container's: told to last eight seconds, of which a client renews them five ahead; refused after six."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    s3.create_bucket(Bucket="renewed")
    first_used = {}

    def by_their_age(handler):
        key = re.search(r"Credential=(\w+)/", handler.headers["Authorization"])[1]
        first_used.setdefault(key, time.monotonic())
        if time.monotonic() - first_used[key] > 6:
            status(400, "ExpiredToken")(handler)
        else:
            handler.answer(handler.forward())

    with credentials_server(8) as address:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
        store = Store("s3://renewed/x")
        with s3_proxy.faulty(by_their_age, "^(PUT|GET|HEAD) /renewed"):
            ends = time.monotonic() + 8
            while time.monotonic() < ends:
                store.write("data", DATA)
                assert store.read("data") == DATA
                time.sleep(0.3)
    assert len(first_used) >= 2


@contextmanager
def credentials_server(seconds):
    """New credentials at each request, which say that they last so long."""
    given = []

    class Credentials(BaseHTTPRequestHandler):
        def do_GET(self):
            given.append(f"KEY{len(given)}")
            ends = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
            held = {"AccessKeyId": given[-1], "SecretAccessKey": "secret", "Token": "token", "Expiration": ends}
            body = json.dumps(held).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Credentials) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_machine_whose_clock_is_an_hour_off_is_let_in(s3, s3_proxy, hours):
    """S3 refuses what was signed a quarter of an hour ago, or will be, by its own clock."""
    s3.create_bucket(Bucket="clocks")

    def by_its_clock(handler):
        here = datetime.now(UTC) + timedelta(hours=hours)
        signed = datetime.strptime(handler.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        date = ("Date", format_datetime(here, usegmt=True))
        if abs((here - signed).total_seconds()) < 900:
            found = handler.forward()
            headers = [header for header in found.headers if header[0] != "Date"]
            handler.answer(Answer(found.status, [*headers, date], found.body, found.length))
            return
        body = b"" if handler.command == "HEAD" else b"<Error><Code>RequestTimeTooSkewed</Code></Error>"
        handler.answer(Answer(403, [("Content-Type", "application/xml"), date], body, len(body)))

    with s3_proxy.faulty(by_its_clock, "^[A-Z]+ /clocks"):
        check_storage("data", "s3://clocks/x")
        store = Store("s3://clocks/x")
        store.write("data", DATA)
        assert store.read("data") == DATA and store.names() == ["data"]


def test_a_bucket_that_is_busy_is_there(store, s3_proxy):
    with s3_proxy.faulty(BUSY["503"], "^HEAD /faulty"):
        check_storage("data", "s3://faulty/x")
    denied = pytest.raises(InputError, match=r"^data: bucket 'faulty': these credentials may not use it")
    with s3_proxy.faulty(status(403, "AccessDenied"), "^HEAD /faulty"), denied:
        check_storage("data", "s3://faulty/x")

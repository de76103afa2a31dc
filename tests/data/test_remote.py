"""Pictures of web servers and buckets: what is fetched, what is tried again, and what is never asked."""

import pickle
import socket
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pytest
from catalogues import jpeg, picture

from fashion.data.codecs import BadPicture
from fashion.data.pictures import hosts, remote
from fashion.data.pictures.folder import Pictures
from fashion.data.pictures.hosts import is_public
from fashion.data.pictures.remote import Remote
from fashion.data.prepare.pack import pack_shard
from fashion.data.schema import ANNOTATIONS
from fashion.storage import Store

PHOTO = jpeg(picture(0))
PUBLIC = "93.184.216.34"


class Shop(BaseHTTPRequestHandler):
    """Answers as `answers` (path -> function of the handler and how often it was asked) says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with self.server.lock:
            self.server.asked.append((self.path, self.headers["Host"]))
            count = sum(path == self.path for path, _ in self.server.asked)
        self.server.answers[self.path.partition("?")[0]](self, count)

    def setup(self):
        super().setup()
        self.server.connections += 1

    def send(self, status, data=b"", **headers):
        self.send_response(status)
        if "Transfer_Encoding" not in headers:
            headers["Content-Length"] = str(len(data))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@contextmanager
def serving(answers, context=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    server.daemon_threads = True
    server.answers, server.asked, server.connections, server.lock = answers, [], 0, threading.Lock()
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def patient(private=True):
    """A Remote that does not sleep, and how long it would have."""
    slept = []
    return Remote(private=private, sleep=slept.append), slept


def broken(handler, _):
    handler.send_response(200)
    handler.send_header("Content-Length", "10")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.close_connection = True


def chunked(handler, _):
    handler.send(200, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", Transfer_Encoding="chunked")


def test_pictures_are_fetched_over_connections_that_are_kept():
    answers = {"/a%20b/%C3%A9.jpg": lambda handler, _: handler.send(200, b"one")}
    with serving(answers) as (server, uri):
        fetch, _ = patient()
        assert [fetch.read(f"{uri}/a b/é.jpg?w=4&s=ü") for _ in range(5)] == [b"one"] * 5
        assert server.connections == 1
        assert set(server.asked) == {("/a%20b/%C3%A9.jpg?w=4&s=%C3%BC", f"127.0.0.1:{server.server_port}")}
        assert pickle.loads(pickle.dumps(fetch)).read(f"{uri}/a%20b/%C3%A9.jpg") == b"one"


@pytest.mark.parametrize(
    ("answer", "data", "slept"),
    [
        (lambda h, n: h.send(503) if n < 3 else h.send(200, b"late"), b"late", [0.5, 1.0]),
        (lambda h, n: h.send(429, Retry_After="7") if n < 2 else h.send(200, b"late"), b"late", [7.0]),
        (lambda h, n: h.send(503, Retry_After="9999") if n < 2 else h.send(200, b"late"), b"late", [10.0]),
        (lambda h, n: broken(h, n) if n < 2 else h.send(200, b"whole"), b"whole", [0.5]),
        (chunked, b"abcde", []),
        (lambda h, n: h.send(302, Location="/other.jpg"), b"other", []),
        (lambda h, n: h.send(200, b"zip?", Content_Encoding="gzip"), b"zip?", []),  # a picture is not unpacked
    ],
)
def test_what_may_pass_is_tried_again(answer, data, slept):
    with serving({"/a.jpg": answer, "/other.jpg": lambda h, _: h.send(200, b"other")}) as (_, uri):
        fetch, waited = patient()
        assert fetch.read(f"{uri}/a.jpg") == data
        assert waited == slept


@pytest.mark.parametrize(
    ("answer", "reason", "tries"),
    [
        (lambda h, _: h.send(403), "the server answered with status 403", 1),
        (lambda h, _: h.send(503), "the server answered with status 503, 4 times", 4),
        (broken, "the connection broke off, 4 times", 4),
        (lambda h, _: h.send(200, b"x" * 2001), "it is larger than 0 MB", 1),
        (
            lambda h, _: h.send(200, b"7d1\r\n" + b"x" * 2001 + b"\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
            "larger",
            1,
        ),
        (lambda h, _: h.send(302, Location="/a.jpg"), "redirects more than 5 times", 6),
        (lambda h, _: h.send(302, Location="file:///etc/passwd"), "redirects to an address that is not of the web", 1),
        (lambda h, _: h.send(302, Location="https://u:hunter2@cdn/"), "cannot be read, or has a user", 1),
    ],
)
def test_what_cannot_be_fetched_is_a_bad_picture_with_a_reason_that_names_no_address(
    answer, reason, tries, monkeypatch
):
    monkeypatch.setattr(remote, "LARGEST", 2000)
    with serving({"/a.jpg": answer}) as (server, uri):
        with pytest.raises(BadPicture, match=reason) as caught:
            patient()[0].read(f"{uri}/a.jpg?sig=hunter2")
        assert len(server.asked) == tries
        assert not any(secret in str(caught.value) for secret in ("hunter2", "127.0.0.1", "a.jpg"))


def test_a_picture_that_is_not_there_and_a_server_that_is_not_there():
    with serving({"/a.jpg": lambda h, _: h.send(404)}) as (_, uri), pytest.raises(FileNotFoundError):
        patient()[0].read(f"{uri}/a.jpg")
    with pytest.raises(BadPicture, match="the server cannot be connected to, 4 times"):
        patient()[0].read(f"{uri}/a.jpg")


def test_a_server_that_says_nothing_or_too_little_is_given_up(monkeypatch):
    monkeypatch.setattr(remote, "SILENCE", 0.1)
    ended = threading.Event()

    def drip(handler, _):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        while not ended.wait(0.02):
            handler.wfile.write(b"x")

    with serving({"/silent.jpg": lambda h, _: ended.wait(5), "/slow.jpg": drip}) as (_, uri):
        try:
            with pytest.raises(BadPicture, match="the server was silent for 0 seconds, 4 times"):
                patient()[0].read(f"{uri}/silent.jpg")
            monkeypatch.setattr(remote, "SILENCE", 15.0)
            monkeypatch.setattr(remote, "SECONDS", 0.1)
            with pytest.raises(BadPicture, match="the server took more than 0 seconds, 4 times"):
                patient()[0].read(f"{uri}/slow.jpg")
        finally:
            ended.set()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (PUBLIC, True), ("8.8.8.8", True), ("2606:4700::1111", True), ("::ffff:8.8.8.8", True), ("64:ff9b::808:808", True),
        ("127.0.0.1", False), ("127.9.9.9", False), ("0.0.0.0", False), ("10.1.2.3", False), ("172.16.0.1", False),
        ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("224.0.0.1", False),
        ("255.255.255.255", False), ("240.0.0.1", False), ("198.18.0.1", False), ("::1", False), ("::", False),
        ("fe80::1%eth0", False), ("fd00::1", False), ("fec0::1", False), ("ff02::1", False), ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False), ("64:ff9b::7f00:1", False), ("64:ff9b::a9fe:a9fe", False), ("2002:7f00:1::", False),
        ("2001:0:808:808::80ff:fffe", False), ("::127.0.0.1", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address, public):
    assert is_public(address) is public


def named(monkeypatch, table):
    """Names resolve as `table` (name -> addresses, or a list of such, one for each time) says."""
    asked = []

    def getaddrinfo(host, port, *args, **options):
        asked.append(host)
        found = table.get(host, [host])
        found = found[min(asked.count(host), len(found)) - 1] if isinstance(found[0], list) else found
        return [(socket.AF_INET6 if ":" in ip else socket.AF_INET, 1, 6, "", (ip, port)) for ip in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


REFUSED = "its host has an address of this machine or of a private network"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "meta", "mixed", "[::1]", "2130706433", "0x7f.1", "[::ffff:7f00:1]"]
)
def test_private_hosts_are_never_asked_unless_the_user_says_so(host, monkeypatch):
    numbers = {
        "localhost": ["127.0.0.1"],
        "2130706433": ["127.0.0.1"],
        "0x7f.1": ["127.0.0.1"],
        "meta": ["169.254.169.254"],
    }
    named(monkeypatch, numbers | {"mixed": [PUBLIC, "127.0.0.1"]})
    with serving({"/a.jpg": lambda h, _: h.send(200, b"secret")}) as (server, _):
        with pytest.raises(BadPicture, match=REFUSED):
            patient(private=False)[0].read(f"http://{host}:{server.server_port}/a.jpg")
        assert not server.asked and not server.connections


def test_a_redirection_is_looked_at_like_the_first_address(monkeypatch):
    named(monkeypatch, {"cdn.shop": ["127.0.0.1"]})
    monkeypatch.setattr(hosts, "is_public", lambda ip: ip == "127.0.0.1")  # the server of this test passes for public
    answers = {"/a.jpg": lambda h, _: h.send(302, Location="http://169.254.169.254/latest/meta-data")}
    with serving(answers) as (server, _):
        with pytest.raises(BadPicture, match=REFUSED):
            patient(private=False)[0].read(f"http://cdn.shop:{server.server_port}/a.jpg")
        assert server.asked == [("/a.jpg", f"cdn.shop:{server.server_port}")]


def test_the_connection_goes_to_the_address_that_was_looked_at(monkeypatch):
    """A name that resolves to another address the second time (rebinding) is resolved once."""
    asked = named(monkeypatch, {"cdn.shop": [["127.0.0.1"], ["169.254.169.254"]]})
    monkeypatch.setattr(hosts, "is_public", lambda ip: ip == "127.0.0.1")
    with serving({"/a.jpg": lambda h, _: h.send(200, b"one")}) as (server, _):
        fetch, _ = patient(private=False)
        assert [fetch.read(f"http://cdn.shop:{server.server_port}/a.jpg") for _ in range(3)] == [b"one"] * 3
        assert asked.count("cdn.shop") == 1


def test_the_other_address_of_a_host_is_tried(monkeypatch):
    named(monkeypatch, {"cdn.shop": ["127.0.0.9", "127.0.0.1"]})  # nobody listens at the first
    with serving({"/a.jpg": lambda h, _: h.send(200, b"one")}) as (server, _):
        assert patient()[0].read(f"http://cdn.shop:{server.server_port}/a.jpg") == b"one"


def test_certificates_are_checked_against_the_name_not_the_address(monkeypatch, tmp_path):
    certificate(tmp_path, "cdn.shop")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    named(monkeypatch, {"cdn.shop": ["127.0.0.1"], "other.shop": ["127.0.0.1"]})
    with serving({"/a.jpg": lambda h, _: h.send(200, b"one")}, context) as (server, _):
        address = f"https://cdn.shop:{server.server_port}/a.jpg"
        with pytest.raises(BadPicture, match="certificate is not valid"):  # nobody has signed it
            patient()[0].read(address)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert patient()[0].read(address) == b"one"
        with pytest.raises(BadPicture, match="certificate is not valid for its name"):
            patient()[0].read(address.replace("cdn.shop", "other.shop"))


def certificate(folder, name):
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_a_shard_takes_pictures_from_everywhere_and_sets_bad_ones_aside(tmp_path, s3, monkeypatch):
    monkeypatch.setattr(remote, "PAUSE", 0.0)
    s3.create_bucket(Bucket="elsewhere")
    s3.put_object(Bucket="elsewhere", Key="a#1?%20 é.jpg", Body=PHOTO)
    (tmp_path / "here.jpg").write_bytes(PHOTO)
    with serving({"/web.jpg": lambda h, _: h.send(200, PHOTO), "/no.jpg": lambda h, _: h.send(500)}) as (_, uri):
        images = {
            "here.jpg": None, "s3://elsewhere/a#1?%20 é.jpg": None, f"{uri}/web.jpg": f"{uri}/web.jpg?sig=hunter2",
            f"{uri}/no.jpg": f"{uri}/no.jpg?sig=hunter2", "s3://elsewhere/none.jpg": None, "s3://nowhere/a.jpg": None,
        }  # fmt: skip
        rows = [
            {"item": "1", "domain": "shop", "split": "train", "image": image, "address": address}
            for image, address in images.items()
        ]
        pictures = Pictures(Store(tmp_path), allow_private_hosts=True)
        packed = pack_shard(pa.Table.from_pylist(rows, ANNOTATIONS), pictures, crop=False, size=None)
    (item,) = packed.items.to_pylist()
    assert [picture["image"] for picture in item["images"]] == list(images)[:3]
    assert all(picture["jpeg"] == PHOTO for picture in item["images"])
    assert {row["image"]: row["reason"] for row in packed.quarantine.to_pylist()} == {
        f"{uri}/no.jpg": "the server answered with status 500, 4 times",
        "s3://elsewhere/none.jpg": "the file is not there",
        "s3://nowhere/a.jpg": "the file is not there",
    }
    assert "hunter2" not in str(packed)

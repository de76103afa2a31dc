"""A proxy before an S3 endpoint over HTTP, which spoils the answers that a test wants spoilt."""

import http.client
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>injected</Message><RequestId>1</RequestId></Error>"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    length: int  # that the header says; without a body (HEAD) the file's own


@dataclass
class Fault:
    """What happens to requests whose "METHOD /bucket/key?query" `where` is found in, `times` times or for `seconds`."""

    act: Callable[["_Handler"], None]
    where: re.Pattern
    times: float
    ends: float
    hits: int = 0


class Proxy:
    """Use as a context; `uri` is the endpoint. Passes all on, but for what `faulty` says."""

    def __init__(self, host: str, port: int):
        self.behind = host, port
        self.faults: list[Fault] = []
        self.asked: Counter = Counter()
        self.written: dict[str, float] = {}  # path -> when it was written
        self.unseen = 0  # requests of `unseen` that were answered with 404
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.daemon_threads = True
        self.server.proxy = self
        self.uri = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *fault):
        self.server.shutdown()
        self.server.server_close()

    @contextmanager
    def faulty(
        self, act: Callable, where: str = "", *, times: float = float("inf"), seconds: float = float("inf")
    ) -> Iterator[Fault]:
        fault = Fault(act, re.compile(where), times, time.monotonic() + seconds)
        with self.lock:
            self.faults.append(fault)
        try:
            yield fault
        finally:
            with self.lock:
                self.faults.remove(fault)

    def fault_of(self, what: str) -> Fault | None:
        with self.lock:
            self.asked[what.split()[0]] += 1
            for fault in self.faults:
                if fault.hits < fault.times and time.monotonic() < fault.ends and fault.where.search(what):
                    fault.hits += 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    wbufsize = -1  # headers and body in one packet: a second one would wait for the first to be acknowledged
    disable_nagle_algorithm = True

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()  # else the client waits a second for it
        return True

    def _any(self) -> None:
        self.sent = self._read_body()
        if self.command in ("PUT", "POST"):
            self.server.proxy.written[self.path.partition("?")[0]] = time.monotonic()
        fault = self.server.proxy.fault_of(f"{self.command} {self.path}")
        if fault is None:
            self.answer(self.forward())
        else:
            fault.act(self)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _any

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def forward(self) -> Answer:
        behind = http.client.HTTPConnection(*self.server.proxy.behind, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        behind.request(self.command, self.path, self.sent, headers | {"Content-Length": str(len(self.sent))})
        found = behind.getresponse()
        body = found.read()
        behind.close()
        length = int(found.headers.get("Content-Length") or len(body)) if self.command == "HEAD" else len(body)
        return Answer(found.status, [(k, v) for k, v in found.getheaders() if k.lower() not in _HOP], body, length)

    def answer(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in [*answer.headers, ("Content-Length", str(answer.length))]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except OSError:  # the client has gone
            self.close_connection = True


def status(code: int, name: str) -> Callable[[_Handler], None]:
    """An error of S3's, such as 503 SlowDown."""

    def act(handler: _Handler) -> None:
        body = b"" if handler.command == "HEAD" else _ERROR.format(name).encode()
        handler.answer(Answer(code, [("Content-Type", "application/xml")], body, len(body)))

    return act


def silent(seconds: float) -> Callable[[_Handler], None]:
    """No answer for so long, then none at all."""

    def act(handler: _Handler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return act


def reset(handler: _Handler) -> None:
    """The connection is reset before the answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def lost(handler: _Handler) -> None:
    """It is done, and the answer lost."""
    handler.forward()
    reset(handler)


def torn(handler: _Handler) -> None:
    """The length of all, half of the body, and the connection ends."""
    found = handler.forward()
    handler.answer(Answer(found.status, found.headers, found.body[: len(found.body) // 2], found.length))
    handler.close_connection = True


def short(handler: _Handler) -> None:
    """Half of the body with its own length, as if that were all."""
    found = handler.forward()
    half = found.body[: len(found.body) // 2]
    handler.answer(Answer(found.status, found.headers, half, len(half)))


def unseen(seconds: float) -> Callable[[_Handler], None]:
    """404 for what was written less than so long ago, as of a storage whose machines do not agree at once."""
    missing = status(404, "NoSuchKey")

    def act(handler: _Handler) -> None:
        when = handler.server.proxy.written.get(handler.path.partition("?")[0], -seconds)
        fresh = handler.command in ("GET", "HEAD") and time.monotonic() - when < seconds
        handler.server.proxy.unseen += fresh
        missing(handler) if fresh else handler.answer(handler.forward())

    return act


def flipped(handler: _Handler) -> None:
    """A bit of the body's middle is another."""
    found = handler.forward()
    body = bytearray(found.body)
    if body:
        body[len(body) // 2] ^= 1
    handler.answer(Answer(found.status, found.headers, bytes(body), found.length))

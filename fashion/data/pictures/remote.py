"""Pictures that lie elsewhere: in buckets and on web servers, of which hosts.py says who may be asked."""

import functools
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pyarrow.fs as pafs
import urllib3

from fashion.data.codecs import BadPicture
from fashion.data.pictures.hosts import resolve
from fashion.data.pictures.places import WEB, scheme_of
from fashion.storage import READERS, Store

LARGEST = 64 << 20  # bytes of a picture
ATTEMPTS = 4
SECONDS = 60.0  # for one attempt, redirections included
SILENCE = 15.0  # seconds without a byte
REDIRECTIONS = 5
PAUSE = 0.5  # seconds before the second attempt, doubled each time; at most LONGEST_PAUSE, whatever a server asks for
LONGEST_PAUSE = 10.0

_CHUNK = 1 << 16
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_MOVED = (301, 302, 303, 307, 308)


class _Again(Exception):
    """What may pass: the reason, and how many seconds the server asks to wait."""

    def __init__(self, reason: str, wait: float = 0.0):
        super().__init__(reason)
        self.wait = wait


class Remote:
    """Fetches pictures by address. Pickles as its settings; may be shared between threads.

    `private`: addresses that are not public, such as loopback and those of the own network, may be asked too.
    """

    def __init__(self, *, private: bool = False, sleep: Callable[[float], None] = time.sleep):
        self.private = private
        self._sleep = sleep
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], Store] = {}
        self._pools: dict[tuple[str, str, int], urllib3.HTTPConnectionPool] = {}

    def __reduce__(self) -> tuple:
        return functools.partial(Remote, private=self.private), ()

    def read(self, address: str) -> bytes:
        """The picture's bytes. Raises FileNotFoundError and BadPicture, whose reason names no address."""
        if scheme_of(address) not in WEB:
            return self._read_bucket(address)
        for attempt in range(ATTEMPTS):
            try:
                return self._read_web(address, attempt)
            except _Again as fault:
                if attempt == ATTEMPTS - 1:
                    raise BadPicture(f"{fault}, {ATTEMPTS} times") from None
                self._sleep(min(max(PAUSE * 2**attempt, fault.wait), LONGEST_PAUSE))
        raise AssertionError

    def _read_bucket(self, address: str) -> bytes:
        scheme, _, rest = address.partition("://")
        bucket, _, key = rest.partition("/")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]*", bucket) or not key:
            raise BadPicture("its address names no bucket, or no file in it")
        try:
            with self._lock:
                if (scheme, bucket) not in self._buckets:
                    self._buckets[scheme, bucket] = Store(f"{scheme}://{bucket}")
                store = self._buckets[scheme, bucket]
            info = store.fs.get_file_info(store.at(key))
            if info.type != pafs.FileType.File:
                raise FileNotFoundError(address)
            if info.size > LARGEST:
                raise _too_large()
            return store.read(key)
        except FileNotFoundError:
            raise
        except OSError as fault:
            denied = "ACCESS_DENIED" in str(fault) or "403" in str(fault)
            raise BadPicture("access to its bucket is denied" if denied else "its bucket cannot be read") from None

    def _read_web(self, address: str, attempt: int) -> bytes:
        ends = time.monotonic() + SECONDS
        for _ in range(REDIRECTIONS + 1):
            response = self._ask(address, attempt)
            try:
                if response.status not in _MOVED:
                    return _body(response, ends)
                address = urljoin(address, response.headers.get("Location", ""))
                if scheme_of(address) not in WEB:
                    raise BadPicture("the server redirects to an address that is not of the web")
            except FileNotFoundError:
                raise
            except (urllib3.exceptions.HTTPError, OSError) as fault:
                raise _Again(_reason(fault)) from None
            finally:
                response.close()
        raise BadPicture(f"the server redirects more than {REDIRECTIONS} times")

    def _ask(self, address: str, attempt: int) -> urllib3.BaseHTTPResponse:
        try:
            parts = urlsplit(address)
            host = (parts.hostname or "").encode("idna").decode()
            key = parts.scheme, host, parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            host = ""
        if not host or "@" in parts.netloc:
            raise BadPicture("its address cannot be read, or has a user in it")
        target = quote(parts.path or "/", safe="/%:=&+~!$,;'()*@") + (f"?{_quoted(parts.query)}" if parts.query else "")
        try:
            pool = self._pool(key, attempt)
            return pool.urlopen(
                "GET",
                target,
                headers={"Host": _netloc(*key), "Accept-Encoding": "identity", "User-Agent": "fashion-retrieval"},
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as fault:
            with self._lock:
                self._pools.pop(key, None)  # the next attempt resolves the name again
            if isinstance(fault, urllib3.exceptions.SSLError):
                raise BadPicture("the server's certificate is not valid for its name") from None
            raise _Again(_reason(fault)) from None

    def _pool(self, key: tuple[str, str, int], attempt: int) -> urllib3.HTTPConnectionPool:
        """Connections to one address of a host."""
        with self._lock:
            if key in self._pools:
                return self._pools[key]
        scheme, host, port = key
        addresses = resolve(host, port, private=self.private)
        options: dict[str, Any] = {"timeout": urllib3.Timeout(SILENCE), "retries": False, "maxsize": READERS}
        pool: urllib3.HTTPConnectionPool
        ip = addresses[attempt % len(addresses)]
        if scheme == "https":
            pool = urllib3.HTTPSConnectionPool(ip, port, server_hostname=host, assert_hostname=host, **options)
        else:
            pool = urllib3.HTTPConnectionPool(ip, port, **options)
        with self._lock:
            return self._pools.setdefault(key, pool)


def _body(response: urllib3.BaseHTTPResponse, ends: float) -> bytes:
    status, length = response.status, response.headers.get("Content-Length", "")
    if "Transfer-Encoding" in response.headers:
        length = ""
    if status in _BUSY:
        wait = response.headers.get("Retry-After", "")
        raise _Again(f"the server answered with status {status}", float(wait) if wait.isdecimal() else 0.0)
    if status in (404, 410):
        raise FileNotFoundError(f"status {status}")
    if status != 200:
        raise BadPicture(f"the server answered with status {status}")
    if length.isdecimal() and int(length) > LARGEST:
        raise _too_large()
    parts, size = [], 0
    while chunk := response.read1(_CHUNK):
        parts.append(chunk)
        size += len(chunk)
        if size > LARGEST:
            raise _too_large()
        if time.monotonic() > ends:
            raise _Again(f"the server took more than {SECONDS:.0f} seconds")
    if length.isdecimal() and size != int(length):
        raise _Again("the connection broke off")
    return b"".join(parts)


def _reason(fault: Exception) -> str:
    """In words without the address."""
    if isinstance(fault, socket.gaierror | urllib3.exceptions.NameResolutionError):
        return "its host is not known"
    if isinstance(fault, urllib3.exceptions.ConnectTimeoutError):  # which a connection that is refused is too
        return "the server cannot be connected to"
    if isinstance(fault, urllib3.exceptions.TimeoutError):
        return f"the server was silent for {SILENCE:.0f} seconds"
    return "the connection broke off"


def _too_large() -> BadPicture:
    return BadPicture(f"it is larger than {LARGEST >> 20} MB")


def _netloc(scheme: str, host: str, port: int) -> str:
    host = f"[{host}]" if ":" in host else host
    return host if port == {"http": 80, "https": 443}[scheme] else f"{host}:{port}"


def _quoted(query: str) -> str:
    return quote(query, safe="%=&?/:+~!$,;'()*@[]|")

"""Addresses of folders: `/a/local/folder` or `s3://bucket/key`, `gs://bucket/key`, `abfs://container@account/key`.

A key is literal. An address is never taken apart as a URL, so `#`, `?`, `%`, blanks and accents stand for themselves and
`a%20b` is another folder than `a b`. Credentials come from the environment of each process and never from an address:
a filesystem pickles without them.
"""

import functools
import os
import re
import unicodedata
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from fashion.errors import InputError

EXPECTED = "a local folder, s3://bucket/prefix, gs://bucket/prefix or abfs://container@account/prefix"
SCHEMES = {"s3": "s3", "gs": "gs", "abfs": "abfs", "abfss": "abfs"}
PATIENCE = timedelta(seconds=120)  # of Google's client, which else goes on for a quarter of an hour
# Of S3's, whose own three tries within two seconds are no help where a bucket says that it is too busy: twelve take about
# two minutes.
ATTEMPTS = 12
CONNECT_S, SILENCE_S = 5.0, 15.0

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_ONE_SLASH = re.compile(r"(s3|gs|abfss?|file):/", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_AZURE_HOST = ".dfs.core.windows.net"


def normalise(address: str) -> str:
    """The one way an address is written: local folders absolute, no slash at the end. Raises InputError."""
    parts = _SCHEME.fullmatch(address)
    if parts is None:
        if _ONE_SLASH.match(address):
            raise InputError(f"{address!r}: one slash after the colon; expected {EXPECTED}")
        return _local(address)
    scheme, rest = parts[1].lower(), parts[2]
    if scheme == "file":
        if not rest.startswith("/"):
            raise InputError(f"{address!r}: expected file:///an/absolute/path, or the path alone")
        return _local(rest)
    if scheme not in SCHEMES:
        raise InputError(f"{scheme}://...: expected {EXPECTED}")
    bucket, _, key = rest.removesuffix("/").partition("/")
    if ":" in bucket or ("@" in bucket and SCHEMES[scheme] != "abfs"):
        raise InputError(f"{scheme}://...@...: keys inside an address are not accepted; set them in the environment")
    if not all(_BUCKET.fullmatch(name) for name in bucket.split("@", 1)):
        raise InputError(f"{address!r}: {bucket!r} is no name of a bucket; expected {EXPECTED}")
    if key or rest.endswith("//"):
        check_key(key, address)
    return f"{SCHEMES[scheme]}://{bucket}" + (f"/{key}" if key else "")


def split(address: str) -> tuple[str | None, str, str]:
    """(scheme, bucket, key) of a normalised address; (None, "", path) of a local folder."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return None, "", address
    bucket, _, key = rest.partition("/")
    return scheme, bucket, key


def check_key(key: str, shown: str) -> None:
    """Raises InputError, naming `shown`, where a key could mean the same file as another one, or none, on some storage."""
    parts = key.split("/")
    if "" in parts or "." in parts or ".." in parts:
        raise InputError(
            f"{shown!r}: empty parts, . and .. are not accepted in a key; a path must stay inside its folder"
        )
    if bad := next((c for c in key if unicodedata.category(c) in ("Cc", "Cs") or ord(c) & 0xFFFE == 0xFFFE), None):
        raise InputError(f"{shown!r}: {bad!r} cannot be stored in every bucket; a path must stay inside its folder")


def open_filesystem(address: str) -> tuple[pafs.FileSystem, str]:
    """The filesystem of a normalised address, and the literal path in it. Nothing is asked of the network but, for a bucket
    of AWS, its region, once. Raises InputError where pyarrow was built without it."""
    scheme, bucket, key = split(address)
    if scheme is None:
        return pafs.LocalFileSystem(), key
    container = bucket.partition("@")[0]
    return {"s3": _s3, "gs": _gs, "abfs": _abfs}[scheme](bucket), f"{container}/{key}" if key else container


def _local(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputError(f"{path!r}: the name is not UTF-8; rename the folder") from None
    if "\0" in path:
        raise InputError(f"{path!r}: a null character is in no path")
    # Not Path.expanduser, which fails where ~name is no user but a folder.
    return str(Path(os.path.expanduser(path)).absolute())


def _s3(bucket: str) -> pafs.FileSystem:
    patience = {"connect_timeout": CONNECT_S, "request_timeout": SILENCE_S}
    patience["retry_strategy"] = pafs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return _S3(bucket, region=_bucket_region(bucket, _region()), **patience)
    scheme, separator, host = endpoint.rpartition("://")
    options = {"scheme": scheme.lower() if separator else "https", "endpoint_override": host.rstrip("/")}
    return _S3(bucket, region=_region(), **options, **patience)


class _S3(pafs.S3FileSystem):
    """Pickles as its bucket: pyarrow's own forgets how often to try again, and Ray Train and Tune are given pickles."""

    def __init__(self, bucket: str, **options: Any):
        super().__init__(**options)
        self.bucket = bucket

    def __reduce__(self) -> tuple:
        return _s3, (self.bucket,)


def _region() -> str | None:
    """None leaves it to the AWS configuration file."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")


@functools.cache
def _bucket_region(bucket: str, otherwise: str | None) -> str | None:
    """A bucket's own region, whatever the environment's: AWS answers with an error elsewhere."""
    try:
        return pafs.resolve_s3_region(bucket)
    except (OSError, pa.ArrowInvalid):  # the first access says what is wrong
        return otherwise


def _gs(bucket: str) -> pafs.FileSystem:
    return _built("gs", "GcsFileSystem")(retry_time_limit=PATIENCE)


def _abfs(bucket: str) -> pafs.FileSystem:
    return _built("abfs", "AzureFileSystem")(azure_account(bucket))


def azure_account(bucket: str) -> str:
    """The storage account of `container@account`, or the environment's. Raises InputError where there is none."""
    _, at, account = bucket.partition("@")
    account = account if at else os.environ.get("AZURE_STORAGE_ACCOUNT", "")
    if not account:
        raise InputError(
            f"abfs://{bucket}: no storage account; expected abfs://container@account/prefix, or AZURE_STORAGE_ACCOUNT set"
        )
    return account.removesuffix(_AZURE_HOST)


def _built(scheme: str, name: str) -> type[pafs.FileSystem]:
    try:
        return getattr(pafs, name)
    except (AttributeError, ImportError):
        raise InputError(
            f"{scheme}://...: this build of pyarrow {pa.__version__} has no {name}; install the one of PyPI or conda-forge"
        ) from None

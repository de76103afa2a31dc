"""What stands in a manifest for an image: a path in the source, an absolute one below it, or an address elsewhere."""

import os
import re
from urllib.parse import urlsplit

from fashion.storage import Store

WEB = ("http", "https")
BUCKETS = ("s3", "gs", "abfs", "abfss")

# Parts of a query that let whoever has them in: they are needed to fetch, and are no part of an image's name.
_SECRET = re.compile(
    r"x-(amz|goog)-.*|sig|signature|policy|expires|key-pair-id|awsaccesskeyid|googleaccessid"
    r"|(access|auth|id)?[-_]?token|api[-_]?key|auth"
)


def scheme_of(text: str) -> str | None:
    """`https` of https://..., in small letters; None where it is a path."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    return match[1].lower() if match else None


def locate(text: str, source: Store) -> tuple[str, str | None]:
    """(name of the image, address to fetch it from where that is not its name).

    A path is relative to `source`; what is absolute or an address, and lies in it, becomes so. Raises ValueError, without
    what may be secret, where the place cannot be read from.
    """
    scheme = scheme_of(text) if "://" in text else None
    if scheme in WEB:
        return _web(text)
    if scheme in BUCKETS:
        if text.startswith(f"{source.uri}/"):
            return text[len(source.uri) + 1 :], None
        if "@" in text.split("/")[2] and not scheme.startswith("abfs"):
            raise ValueError("has a user or keys in its address; expected them in the environment")
        return text, None
    if scheme not in (None, "file"):
        raise ValueError(f"is an address with {scheme}://; expected a path, {'://, '.join((*BUCKETS[:3], *WEB))}://")
    path = (text[len("file://") :] if scheme else text).replace("\\", "/")  # which Windows writes
    if not path.startswith("/"):
        return path, None
    for root in (source.path, os.path.realpath(source.path)) if source.local else ():
        relative = os.path.relpath(os.path.normpath(path), root)
        if relative.split("/")[0] != "..":
            return relative, None
    raise ValueError("is an absolute path that does not lie below the source; expected one in its folder")


def _web(address: str) -> tuple[str, str | None]:
    try:
        parts = urlsplit(address)
    except ValueError:  # which shows what may be secret
        raise ValueError("is no address; expected https://host/path") from None
    if not parts.hostname or "@" in parts.netloc:
        raise ValueError("has a user or no host in its address; expected https://host/path")
    query = "&".join(p for p in parts.query.split("&") if not _SECRET.fullmatch(p.partition("=")[0].casefold()))
    name = parts._replace(query=query, fragment="").geturl()
    return name, None if name == address else address

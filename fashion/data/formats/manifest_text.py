"""The text of a user's table, whatever program saved it: plain or gzip, in UTF-8, UTF-16 or Windows-1252."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import AnyStr

from fashion.errors import InputError
from fashion.storage import Store

_CHUNK = 1 << 20  # bytes read at once
_LONGEST = 1 << 22  # characters in a line; more means that this is no table
_GZIP = b"\x1f\x8b"
_NAMES = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
_NAMES |= {"cp1252": "Windows-1252 (Latin-1)"}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the bytes of a file become text."""

    codec: str
    packed: bool  # by gzip
    bad_lines: int = 0  # that are not of this encoding: their bytes become lone surrogates, see `damaged`

    def __str__(self) -> str:
        return _NAMES[self.codec] + (", gzip" if self.packed else "")


def detect(source: Store, name: str) -> Encoding:
    """From the byte order mark, else the zeros of UTF-16, else from whether the lines are UTF-8; reads the whole file.

    Where some lines are UTF-8 beyond ASCII and fewer are not, those are damaged; where more are not, the file is
    Windows-1252, which Latin-1 text is too. Raises FileNotFoundError and InputError.
    """
    with _content(source, name) as (stream, packed):
        head = stream.peek(4096)[:4096]
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            return Encoding(codec="utf-16", packed=packed)
        zeros = [head[i::2].count(0) * 4 > len(head) for i in (0, 1)]  # more than half of every other byte
        if zeros[0] != zeros[1]:
            return Encoding(codec="utf-16-be" if zeros[0] else "utf-16-le", packed=packed)
        if b"\0" in head:
            raise InputError(f"{name}: found binary data, expected CSV as text, or Parquet under the name .parquet")
        right = wrong = 0
        for line in _lines(name, stream.readline, b"\n"):
            if not line.isascii():
                try:
                    line.decode()
                    right += 1
                except UnicodeDecodeError:
                    wrong += 1
    if wrong > right:
        return Encoding(codec="cp1252", packed=packed)
    return Encoding(codec="utf-8-sig", packed=packed, bad_lines=wrong)


def text_lines(source: Store, name: str, encoding: Encoding) -> Iterator[str]:
    """Every line with its end, as the csv module wants them. Raises InputError."""
    with _content(source, name) as (stream, _):
        errors = "surrogateescape" if encoding.codec == "utf-8-sig" else "strict"
        text = io.TextIOWrapper(stream, encoding.codec, errors, newline="")
        try:
            yield from _lines(name, text.readline, "\n")
        except UnicodeDecodeError as fault:
            raise InputError(f"{name}: {fault.reason} in {encoding}; save it as UTF-8") from None


def damaged(cell: str) -> bool:
    """Whether the cell held bytes that are not of the file's encoding."""
    return not cell.isascii() and any("\udc80" <= character <= "\udcff" for character in cell)


@contextmanager
def _content(source: Store, name: str) -> Iterator[tuple[io.BufferedReader, bool]]:
    """(the bytes, whether they were packed by gzip), which its first bytes tell, whatever its name. Raises InputError."""
    with source.fs.open_input_stream(source.at(name), compression=None) as raw:
        stream = io.BufferedReader(raw, _CHUNK)
        if stream.peek(2)[:2] != _GZIP:
            yield stream, False
            return
        try:
            yield io.BufferedReader(gzip.GzipFile(fileobj=stream), _CHUNK), True
        except (gzip.BadGzipFile, EOFError, zlib.error) as fault:
            raise InputError(f"{name}: {fault}; expected a whole gzip file") from None


def _lines(name: str, readline: Callable[[int], AnyStr], end: AnyStr) -> Iterator[AnyStr]:
    number = 0
    while line := readline(_LONGEST):
        number += 1
        if len(line) == _LONGEST and not line.endswith(end):
            raise InputError(f"{name}, line {number}: found more than {_LONGEST} characters, expected a table")
        yield line

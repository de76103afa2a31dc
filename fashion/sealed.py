"""Checksums where formats have none: of a Parquet file's footer, and of JSON.

Parquet checks its pages, but one flipped bit of the footer gives other rows, other columns or other text without a word.
So between the pages and the footer stand 16 bytes, which readers of Parquet pass over: a mark and the footer's checksum.
A JSON object has its own beside its other names. Files of others, and older ones, have neither and are read as they are.
"""

import hashlib
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CHECKSUM = "checksum"
_MARK, _DIGEST = b"footer1:", 8
_END = b"PAR1"
_TAIL = 64 << 10  # bytes read at once: nearly all footers are shorter


def parquet_parts(table: pa.Table, **options: Any) -> tuple[pa.Buffer, bytes, pa.Buffer]:
    """A Parquet file in three parts: its pages, the seal, its footer. The first and the last are a file as pyarrow writes
    it."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True, **options)
    data = sink.getvalue()
    ends = data.size - 8 - _length(data[-8:-4])
    return data[:ends], _seal(data[ends:]), data[ends:]


def read_footer(file: pa.NativeFile) -> pq.FileMetaData:
    """The footer of an open Parquet file, by as many requests as pyarrow itself needs. Raises ArrowInvalid where it is
    damaged."""
    size = file.size()
    tail = file.read_at(min(size, _TAIL), max(0, size - _TAIL))
    if len(tail) < 12 or tail[-4:] != _END:
        raise pa.ArrowInvalid(f"a Parquet file ends with {_END.decode()}, this one of {size} bytes does not")
    start = 8 + _length(tail[-8:-4])
    wanted = min(size, start + len(_MARK) + _DIGEST)
    if wanted > len(tail):
        tail = file.read_at(wanted, size - wanted)
    footer = tail[-start:]
    seal = tail[:-start][-len(_MARK) - _DIGEST :]
    if seal.startswith(_MARK) and seal != _seal(footer):
        raise pa.ArrowInvalid("the footer's checksum differs")
    return pq.read_metadata(pa.BufferReader(_END + footer))


def to_json(value: Any) -> bytes:
    """Text for people too; an object carries a checksum."""
    if isinstance(value, dict):
        value = {name: inner for name, inner in value.items() if name != CHECKSUM}
        value[CHECKSUM] = _json_digest(json.loads(json.dumps(value)))
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def from_json(data: bytes) -> Any:
    """What `to_json` was given. Raises ValueError where it is damaged."""
    value = json.loads(data)
    if isinstance(value, dict) and CHECKSUM in value and value.pop(CHECKSUM) != _json_digest(value):
        raise ValueError(f'its checksum differs; without the line "{CHECKSUM}" it is read as it is')
    return value


def digest_of(*parts: bytes | pa.Buffer) -> str:
    """16 hexadecimal digits of all parts, one after another."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _length(four: bytes | pa.Buffer) -> int:
    return int.from_bytes(bytes(four), "little")


def _seal(footer: bytes | pa.Buffer) -> bytes:
    return _MARK + hashlib.blake2b(footer, digest_size=_DIGEST).digest()


def _json_digest(value: dict) -> str:
    return digest_of(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())

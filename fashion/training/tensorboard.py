"""TensorBoard's event files of scalars, as bytes: records of protocol buffers, with checksums.

TensorBoard's own writers append to a file in the background; a bucket cannot append, and takes whole files. The layout is
that of TensorFlow's event.proto, summary.proto and record_writer.h.
"""

import struct
import time

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # wire types of protocol buffers


def header() -> bytes:
    """The record that an event file begins with."""
    return _record(_event(0, _field(3, _BYTES, b"brain.Event:2")))


def scalar(name: str, value: float, step: int) -> bytes:
    """The record of one number."""
    pair = _field(1, _BYTES, name.encode()) + _field(2, _FLOAT, struct.pack("<f", value))
    return _record(_event(step, _field(5, _BYTES, _field(1, _BYTES, pair))))


def file_name() -> str:
    """A name by which TensorBoard knows the file; later files sort after earlier ones."""
    return f"events.out.tfevents.{time.time_ns() // 1000}.fashion"


def _event(step: int, content: bytes) -> bytes:
    return _field(1, _DOUBLE, struct.pack("<d", time.time())) + _field(2, _VARINT, _varint(step)) + content


def _field(number: int, kind: int, data: bytes) -> bytes:
    return _varint(number << 3 | kind) + (_varint(len(data)) if kind == _BYTES else b"") + data


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value > 127:
        octets.append(value & 127 | 128)
        value >>= 7
    return bytes([*octets, value])


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)  # "masked", as TensorFlow does

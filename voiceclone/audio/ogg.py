"""Makes Ogg files reproducible: libsndfile draws the stream's serial number at random, this sets it."""

from __future__ import annotations

import struct


def _crc_table() -> tuple[int, ...]:
    table = []
    for index in range(256):
        value = index << 24
        for _ in range(8):
            value = (value << 1) ^ 0x04C11DB7 if value & 0x80000000 else value << 1
        table.append(value & 0xFFFFFFFF)
    return tuple(table)


_CRC = _crc_table()


def _checksum(page: bytes | bytearray) -> int:
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _CRC[value >> 24 ^ byte]
    return value


def with_serial(data: bytes, serial: int = 0) -> bytes:
    """Return the Ogg file with this serial number on every page, and the checksums that go with it."""
    out = bytearray(data)
    start = 0
    while start < len(out):
        if out[start : start + 4] != b"OggS":
            raise ValueError("not an Ogg page")
        segments = out[start + 26]
        end = start + 27 + segments + sum(out[start + 27 : start + 27 + segments])
        struct.pack_into("<II", out, start + 14, serial, struct.unpack_from("<I", out, start + 18)[0])
        struct.pack_into("<I", out, start + 22, 0)
        struct.pack_into("<I", out, start + 22, _checksum(out[start:end]))
        start = end
    return bytes(out)

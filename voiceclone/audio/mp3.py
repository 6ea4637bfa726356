"""MP3 frames, counted: a file may not say how long it is, and its decoder then guesses and stops too early."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
#: kbit/s of layer III by index, for MPEG 1 and for MPEG 2 and 2.5.
_BITRATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_HAS_FRAMES_AND_BYTES = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """The header of a layer III frame; ``size`` in bytes with the header."""

    mpeg1: bool
    mono: bool
    size: int


def parse_frame(data: bytes, at: int) -> Frame | None:
    """Return the frame that begins at a position, None where none does (or one of free format)."""
    if len(data) < at + 4:
        return None
    sync, flags, rates, mode = data[at : at + 4]
    version, bitrate, rate = flags >> 3 & 3, rates >> 4, rates >> 2 & 3
    if sync != 0xFF or flags & 0xE6 != 0xE2 or version == 1 or bitrate in (0, 15) or rate == 3:
        return None
    mpeg1 = version == 3
    bits = (_BITRATES_1 if mpeg1 else _BITRATES_2)[bitrate] * 1000
    size = (144 if mpeg1 else 72) * bits // _RATES[version][rate] + (rates >> 1 & 1)
    return Frame(mpeg1, mode >> 6 == 3, size)


def first_frame(data: bytes) -> int:
    """Return where the first frame should begin: after an ID3 tag, where there is one, and its padding."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    start = 10 + size
    while start < len(data) and data[start] == 0:
        start += 1
    return start


def declares_length(data: bytes) -> bool:
    """Return whether the first frame is one that only tells the length."""
    start = first_frame(data)
    return any(tag in data[start : start + 64] for tag in (b"Xing", b"Info", b"VBRI"))


def count_frames(data: bytes) -> tuple[int, bool]:
    """Return the number of whole frames, and whether the last one is cut off by the end of the data."""
    at, count = first_frame(data), 0
    while at < len(data) - 4:
        frame = parse_frame(data, at)
        if frame is None:  # a tag, or damage: go on where a frame seems to begin
            at = data.find(b"\xff", at + 1)
            if at < 0:
                break
            continue
        if at + frame.size > len(data):
            return count, True
        at += frame.size
        count += 1
    return count, False


def with_length(data: bytes) -> bytes:
    """Return the file with a frame in front that tells its length."""
    start = first_frame(data)
    frame = parse_frame(data, start)
    if frame is None:
        return data
    count, _ = count_frames(data)
    # Version, rate and mode of the music, a bit rate with room for the numbers, neither checksum nor padding.
    header = bytes((0xFF, data[start + 1] | 1, data[start + 2] & 0x0C | 9 << 4, data[start + 3]))
    teller = parse_frame(header, 0)
    assert teller is not None
    side = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}[frame.mpeg1, frame.mono]
    numbers = struct.pack(">4sIII", b"Xing", _HAS_FRAMES_AND_BYTES, count, teller.size + len(data) - start)
    return (header + bytes(side) + numbers).ljust(teller.size, b"\0") + data[start:]

"""Tells from the first bytes what a file is, and from its container whether it is whole; decodes nothing."""

from __future__ import annotations

import struct
from enum import Enum

from voiceclone.audio import mp3
from voiceclone.errors import SampleUndecodable


class Container(str, Enum):
    """The audio files that are read."""

    WAV = "WAV"
    FLAC = "FLAC"
    OGG = "Ogg"
    MP3 = "MP3"


_KNOWN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (8, b"WEBP", "a WebP image"),
    (8, b"AVI ", "an AVI video"),
    (4, b"ftyp", "an MP4/M4A file"),
    (0, b"\x1aE\xdf\xa3", "a WebM or Matroska file"),
    (0, b"FORM", "an AIFF file"),
    (0, b".snd", "an AU file"),
    (0, b"caff", "a CAF file"),
    (0, b"RF64", "an RF64 file"),
    (0, b"0&\xb2u", "a WMA/ASF file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"MThd", "a MIDI file"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
)
#: Writers that cannot seek put a size this large, or larger, in the header of a WAV stream.
_STREAM_SIZE = 0x7FFF0000
_HINT = "Send a WAV, FLAC, Ogg (Vorbis or Opus) or MP3 file."


def sniff(data: bytes) -> Container:
    """Return the container of ``data``. Raises SampleUndecodable that names what was found instead."""
    if not data:
        raise SampleUndecodable("The recording is empty (0 bytes).", field="data", hint=_HINT)
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return Container.WAV
    if data[:4] == b"fLaC":
        return Container.FLAC
    if data[:4] == b"OggS":
        return _sniff_ogg(data)
    if mp3.parse_frame(data, mp3.first_frame(data)) is not None:
        return Container.MP3
    raise SampleUndecodable(
        f"The recording looks like {_describe(data)}, not audio that is read here.", field="data", hint=_HINT
    )


def check_whole(data: bytes, container: Container) -> None:
    """Raise SampleUndecodable where the container itself says that bytes are missing at the end."""
    if container is Container.WAV:
        _check_wav(data)
    elif container is Container.OGG:
        _check_ogg(data)
    elif container is Container.MP3 and mp3.count_frames(data)[1]:
        raise SampleUndecodable(
            "The recording is truncated: its last frame is cut.", field="data", hint="Copy or upload the file again."
        )


def truncated(found: str, declared: str) -> SampleUndecodable:
    """Return the error for a file that ends before its header says it does."""
    return SampleUndecodable(
        f"The recording is truncated: {found} of {declared} are there.",
        field="data",
        hint="Copy or upload the file again.",
    )


def _sniff_ogg(data: bytes) -> Container:
    head = data[:128]
    if b"\x01vorbis" in head or b"OpusHead" in head:
        return Container.OGG
    found = "Ogg Theora video" if b"theora" in head else "an Ogg file that holds neither Vorbis nor Opus"
    raise SampleUndecodable(f"The recording looks like {found}.", field="data", hint=_HINT)


def _describe(data: bytes) -> str:
    for offset, magic, name in _KNOWN:
        if data[offset : offset + len(magic)] == magic:
            return name
    if data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xF6 == 0xF0:
        return "an AAC stream"
    head = data[:512]
    if not head.strip(b"\0"):
        return "zeros"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
        return "a web page or XML"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return "text"
    return "unknown data"


def _check_wav(data: bytes) -> None:
    position = 12
    while position + 8 <= len(data):
        size = struct.unpack_from("<I", data, position + 4)[0]
        there = len(data) - position - 8
        if data[position : position + 4] == b"data":
            if size < _STREAM_SIZE and size > there:
                raise truncated(f"{there} bytes of samples", str(size))
            return
        position += 8 + size + size % 2
    raise SampleUndecodable("The WAV file has no audio in it (no data chunk), or was cut before it.", field="data")


def _check_ogg(data: bytes) -> None:
    last = data.rfind(b"OggS")
    page = data[last:]
    if len(page) >= 27 and len(page) >= 27 + page[26]:
        segments = page[27 : 27 + page[26]]
        if len(page) >= 27 + len(segments) + sum(segments) and page[5] & 4:
            return
    raise SampleUndecodable(
        "The recording is truncated: the Ogg stream has no last page.",
        field="data",
        hint="Copy or upload the file again.",
    )

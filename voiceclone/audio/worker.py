"""The child that decodes: one request after another from stdin. A script; it imports nothing of ours.

Request and answer are the sizes of a JSON header and of a payload (``<IQ``), the header, the payload.
"""

from __future__ import annotations

import io
import json
import struct
import sys
from typing import Any

sys.path[:] = sys.path[1:]  # the script's own folder, whose file names are not for importing

import numpy as np  # noqa: E402
import soundfile  # noqa: E402

_BLOCK = 1 << 16
_CODECS = (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None))


def limit(memory: int) -> None:
    """Take from this process what decoding does not need: files, core dumps, unbounded memory."""
    try:
        import resource
    except ImportError:  # not a Unix: only the time limit of the parent holds
        return
    with open("/proc/self/statm") if sys.platform == "linux" else io.StringIO("0") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limits = {"RLIMIT_AS": used + memory, "RLIMIT_NOFILE": 3, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
    for name, value in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
        except (OSError, ValueError, AttributeError):  # each system lacks another one
            continue


def allow_cpu(seconds: int) -> None:
    """Let this request use so many CPU seconds more, then the kernel ends the process."""
    try:
        import resource
    except ImportError:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + seconds, hard))


def decode(data: bytes, max_seconds: float) -> tuple[dict[str, Any], bytes]:
    """Return the facts of the file and its samples, float32 interleaved; no samples where they are not wanted."""
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        rate, channels = file.samplerate, file.channels
        limit_frames = int(max_seconds * rate)
        # A stream whose writer could not seek back declares nothing, or more than anything.
        declared = file.frames if file.frames < 1 << 62 else 0
        header = {
            "rate": rate,
            "channels": channels,
            "declared": declared,
            "format": f"{file.format} {file.subtype}",
            "too_long": declared > limit_frames,
        }
        if header["too_long"] or channels > 2:
            return header, b""
        blocks, count = [], 0
        while count <= limit_frames:
            block = file.read(_BLOCK, dtype="float32", always_2d=True)
            if not len(block):
                break
            blocks.append(block.tobytes())
            count += len(block)
    if count > limit_frames:
        return {**header, "too_long": True}, b""
    return header, b"".join(blocks)


def main(memory: int, cpu_seconds: int) -> None:
    """Answer requests until stdin ends."""
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    # Codecs load their tables, and Python its modules, while files may still be opened.
    for container, subtype in _CODECS:
        warm = io.BytesIO()
        soundfile.write(warm, np.zeros(8000, np.float32), 16000, format=container, subtype=subtype)
        decode(warm.getvalue(), 1.0)
    limit(memory)
    stdout.write(b"\x06")
    stdout.flush()
    while len(sizes := stdin.read(12)) == 12:
        text_size, payload_size = struct.unpack("<IQ", sizes)
        request = json.loads(stdin.read(text_size))
        data = stdin.read(payload_size)
        allow_cpu(cpu_seconds)
        try:
            header, payload = decode(data, request["max_seconds"])
        except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, MemoryError, OSError):
            header, payload = {}, b""
        text = json.dumps(header).encode()
        stdout.write(struct.pack("<IQ", len(text), len(payload)) + text)
        stdout.write(payload)
        stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

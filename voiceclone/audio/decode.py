"""Bytes of a recording to samples. Codecs run in a child process with limits, never in the server's own.

A codec bug on hostile bytes costs a child, not the server: the child has no room for files, a bounded memory and CPU
time, and is killed when it takes too long. Children are kept warm, so that a recording costs a pipe, not a start-up.
"""

from __future__ import annotations

import atexit
import json
import os
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from voiceclone.audio import mp3
from voiceclone.audio.formats import RawFormat, check_channels, check_rate
from voiceclone.audio.sniff import Container, check_whole, sniff, truncated
from voiceclone.errors import SampleTooLong, SampleUndecodable, StoreError

if TYPE_CHECKING:
    from voiceclone.types import Samples

_WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded recording: ``samples`` float32 ``[T, C]`` at ``sample_rate`` Hz."""

    samples: Samples
    sample_rate: int
    #: For people: "WAV PCM_16", "OGG OPUS".
    format: str


def to_mono(samples: Samples) -> Samples:
    """Return the mean of the channels of ``[T, C]`` as ``[T]``."""
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)


def decode(data: bytes, *, raw: RawFormat | None = None, max_seconds: float = 120.0) -> Decoded:
    """Decode a WAV, FLAC, Ogg or MP3 file, or raw samples of layout ``raw``, from anybody.

    Raises SampleUndecodable (not audio, damaged, truncated), SampleFormat (rate, channels), SampleTooLong, and
    StoreError where no decoder can be started.
    """
    return _default().decode(data if raw is None else raw.wrap(data), max_seconds=max_seconds)


class Decoder:
    """Up to ``workers`` warm children that decode; safe to use from any thread."""

    def __init__(
        self, workers: int = 2, *, timeout: float = 30.0, memory: int = 1 << 30, cpu_seconds: int = 20
    ) -> None:
        self._timeout = timeout
        self._arguments = (str(memory), str(cpu_seconds))
        self._free = threading.BoundedSemaphore(workers)
        self._lock = threading.Lock()
        self._idle: list[subprocess.Popen[bytes]] = []
        self._owner = os.getpid()

    def decode(self, data: bytes, *, max_seconds: float = 120.0) -> Decoded:
        """Decode the bytes of a file; raises as :func:`decode` does."""
        container = sniff(data)
        check_whole(data, container)
        if container is Container.MP3 and not mp3.declares_length(data):
            data = mp3.with_length(data)
        header, payload = self._ask({"max_seconds": max_seconds}, data)
        if not header:
            raise SampleUndecodable(
                f"The {container.value} data is damaged or truncated: no decoder reads it.", field="data"
            )
        rate, channels, declared = header["rate"], header["channels"], header["declared"]
        check_rate(rate)
        check_channels(channels)
        if header["too_long"]:
            raise SampleTooLong(
                f"The recording is longer than {max_seconds:g} s.", field="data", hint="Send a part of it."
            )
        samples = np.frombuffer(payload, np.float32).reshape(-1, channels)
        if len(samples) < declared:
            raise truncated(f"{len(samples)} sample frames", str(declared))
        return Decoded(samples, rate, header["format"])

    def close(self) -> None:
        """End the idle children."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            _end(child)

    def _ask(self, request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        """Return the answer to one request; an empty header means that the codec failed, died or took too long."""
        with self._free:
            child = self._take_idle()
            if child is not None:
                answer = self._converse(child, request, data)
                if answer is not None:
                    return answer
                # It may have died of something that was not in this file: a new child decides.
            return self._converse(self._start(), request, data) or ({}, b"")

    def _converse(
        self, child: subprocess.Popen[bytes], request: dict[str, Any], data: bytes
    ) -> tuple[dict[str, Any], bytes] | None:
        """Return the child's answer and keep the child; None where it died, an empty answer where it was too slow."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(self._timeout, give_up)
        timer.start()
        try:
            stdin, stdout = child.stdin, child.stdout
            assert stdin is not None
            assert stdout is not None
            _send(stdin, request, data)
            answer = _receive(stdout)
        except (OSError, EOFError, ValueError):
            _end(child)
            return ({}, b"") if late.is_set() else None
        finally:
            timer.cancel()
        if late.is_set():  # it answered while it was being killed
            _end(child)
        else:
            with self._lock:
                self._idle.append(child)
        return answer

    def _take_idle(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._owner != os.getpid():  # after a fork the pipes belong to the parent's requests
                self._idle, self._owner = [], os.getpid()
            while self._idle:
                child = self._idle.pop()
                if child.poll() is None:
                    return child
                _end(child)
        return None

    def _start(self) -> subprocess.Popen[bytes]:
        # One BLAS thread: each one more reserves address space that counts against the child's memory limit.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-s", str(_WORKER), *self._arguments]
        try:
            child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
            )
        except OSError as error:
            raise StoreError("The audio decoder cannot be started.", hint="Run: voiceclone doctor") from error
        assert child.stdout is not None
        if child.stdout.read(1) != b"\x06":
            _end(child)
            raise StoreError("The audio decoder cannot be started.", hint="Run: voiceclone doctor")
        return child


@cache
def _default() -> Decoder:
    decoder = Decoder()
    atexit.register(decoder.close)
    return decoder


def _send(pipe: Any, header: dict[str, Any], payload: bytes) -> None:
    text = json.dumps(header).encode()
    pipe.write(struct.pack("<IQ", len(text), len(payload)) + text)
    pipe.write(payload)
    pipe.flush()


def _receive(pipe: Any) -> tuple[dict[str, Any], bytes]:
    text_size, payload_size = struct.unpack("<IQ", _exactly(pipe, 12))
    header = cast("dict[str, Any]", json.loads(_exactly(pipe, text_size)))
    return header, _exactly(pipe, payload_size)


def _exactly(pipe: Any, size: int) -> bytes:
    data = cast("bytes", pipe.read(size))
    if len(data) < size:
        raise EOFError
    return data


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:  # what was still buffered cannot be sent to a dead child
                continue
    child.wait()

"""Speech as a client gets it: the events of a stream, and the whole of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voiceclone._proto.v1 import audio_pb2, speech_service_pb2
from voiceclone.audio import Encoding, encode_file
from voiceclone.errors import FormatUnsupported
from voiceclone.types import TextSpan, Timing, TimingKind, TimingSource

_DTYPES: dict[Encoding, type[np.generic]] = {Encoding.PCM_S16LE: np.int16, Encoding.PCM_F32LE: np.float32}
_RAW_SUBTYPES = {Encoding.MULAW: "ULAW", Encoding.ALAW: "ALAW"}


@dataclass(frozen=True, slots=True)
class Header:
    """What is known before the first audio."""

    request_id: str
    encoding: Encoding
    #: Hz; every sample count of this speech is at this rate.
    sample_rate: int
    voice: str
    #: With its revision: "models/x@1".
    model: str
    seed: int
    reproduction_key: str
    content_key: str
    timings: tuple[TimingKind, ...]


@dataclass(frozen=True, slots=True)
class SegmentStart:
    """A stretch of the text, mostly a sentence, begins at ``start_sample``."""

    index: int
    span: TextSpan
    normalized_text: str
    start_sample: int


@dataclass(frozen=True, slots=True)
class Audio:
    """A run of audio; ``data`` as it came, ``samples`` of raw PCM as an array ``[T]``."""

    data: bytes
    start_sample: int
    sample_count: int
    encoding: Encoding

    @property
    def samples(self) -> NDArray[Any]:
        """int16 or float32 ``[T]``. Raises FormatUnsupported where the stream is not raw PCM."""
        if self.encoding not in _DTYPES:
            raise FormatUnsupported(f"chunks of {self.encoding.name} are no samples; ask for PCM_S16LE or PCM_F32LE.")
        return np.frombuffer(self.data, np.dtype(_DTYPES[self.encoding]).newbyteorder("<"))


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known after the last audio; durations in seconds."""

    sample_count: int
    input_char_count: int
    queue_seconds: float
    first_audio_seconds: float
    compute_seconds: float
    truncated: bool


#: What a stream yields: a Header, then SegmentStart, Timing and Audio, then a Summary.
Event: TypeAlias = Header | SegmentStart | Timing | Audio | Summary


@dataclass(frozen=True, slots=True)
class Speech:
    """One utterance, whole."""

    data: bytes
    header: Header
    summary: Summary
    timings: tuple[Timing, ...]
    segments: tuple[SegmentStart, ...]

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.header.sample_rate

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.summary.sample_count / self.header.sample_rate

    @property
    def samples(self) -> NDArray[Any]:
        """``[T]``: int16 for PCM_S16LE and for G.711, else float32; files are decoded."""
        encoding = self.header.encoding
        if encoding in _DTYPES:
            return Audio(self.data, 0, self.summary.sample_count, encoding).samples
        import soundfile

        if encoding in _RAW_SUBTYPES:
            layout = {
                "format": "RAW",
                "subtype": _RAW_SUBTYPES[encoding],
                "channels": 1,
                "samplerate": self.sample_rate,
            }
            decoded, _ = soundfile.read(io.BytesIO(self.data), dtype="int16", **layout)
        else:
            decoded, _ = soundfile.read(io.BytesIO(self.data), dtype="float32")
        return np.asarray(decoded)

    def save(self, path: str | Path) -> Path:
        """Write a file of the kind its name ends in: .wav, .flac, .ogg, .opus or .mp3. Raises FormatUnsupported."""
        path = Path(path)
        kinds = {encoding.suffix: encoding for encoding in Encoding if not encoding.raw}
        wanted = kinds.get(path.suffix.lower())
        if wanted is None:
            raise FormatUnsupported(f"{path.name!r} ends in none of {', '.join(kinds)}.", field="path")
        if wanted is self.header.encoding:
            path.write_bytes(self.data)
            return path
        samples = self.samples
        if samples.dtype == np.int16:
            samples = samples.astype(np.float32) / np.float32(32768)
        path.write_bytes(encode_file(samples, self.sample_rate, wanted))
        return path


def read_event(message: speech_service_pb2.StreamSynthesizeResponse, encoding: Encoding | None) -> Sequence[Event]:
    """The events in one message; ``encoding`` is the header's, None before it."""
    kind = message.WhichOneof("event")
    if kind == "audio" and encoding is not None:
        chunk = message.audio
        return (Audio(chunk.data, chunk.start_sample, chunk.sample_count, encoding),)
    if kind == "timing":
        return [read_timing(event) for event in message.timing.events]
    if kind == "segment":
        return (_read_segment(message.segment),)
    if kind == "header":
        return (_read_header(message.header),)
    if kind == "summary":
        return (_read_summary(message.summary),)
    return ()  # of a newer server


def read_speech(message: speech_service_pb2.SynthesizeResponse) -> Speech:
    return Speech(
        data=message.audio,
        header=_read_header(message.header),
        summary=_read_summary(message.summary),
        timings=tuple(read_timing(event) for event in message.timings),
        segments=tuple(_read_segment(segment) for segment in message.segments),
    )


def read_timing(event: audio_pb2.TimingEvent) -> Timing:
    return Timing(
        kind=timing_kind(event.kind),
        start_sample=event.start_sample,
        sample_count=event.sample_count,
        label=event.label,
        span=TextSpan(event.span.begin, event.span.end) if event.HasField("span") else None,
        viseme_id=event.viseme_id,
        weight=event.weight,
        source=TimingSource[audio_pb2.TimingSource.Name(event.source).removeprefix("TIMING_SOURCE_")],
    )


def timing_kind(value: audio_pb2.TimingKind) -> TimingKind:
    return TimingKind[audio_pb2.TimingKind.Name(value).removeprefix("TIMING_KIND_")]


def _read_header(message: speech_service_pb2.StreamHeader) -> Header:
    return Header(
        request_id=message.request_id,
        encoding=Encoding[audio_pb2.AudioEncoding.Name(message.audio_format.encoding).removeprefix("AUDIO_ENCODING_")],
        sample_rate=message.audio_format.sample_rate_hertz,
        voice=message.voice,
        model=message.model,
        seed=message.seed,
        reproduction_key=message.reproduction_key,
        content_key=message.content_key,
        timings=tuple(timing_kind(kind) for kind in message.timings),
    )


def _read_segment(message: speech_service_pb2.SegmentBoundary) -> SegmentStart:
    span = TextSpan(message.span.begin, message.span.end)
    return SegmentStart(message.index, span, message.normalized_text, message.start_sample)


def _read_summary(message: speech_service_pb2.StreamSummary) -> Summary:
    return Summary(
        sample_count=message.sample_count,
        input_char_count=message.input_char_count,
        queue_seconds=message.queue_duration.ToNanoseconds() * 1e-9,
        first_audio_seconds=message.first_audio_duration.ToNanoseconds() * 1e-9,
        compute_seconds=message.compute_duration.ToNanoseconds() * 1e-9,
        truncated=message.truncated,
    )

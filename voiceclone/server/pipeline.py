"""One utterance's way from the model's chunks to events on the wire: gain, rate, encoding, chunk sizes, timings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from voiceclone._proto.v1 import audio_pb2
from voiceclone._proto.v1.speech_service_pb2 import SegmentBoundary, StreamSynthesizeResponse, TimingEvents
from voiceclone.audio import Encoding, StreamEncoder, StreamResampler
from voiceclone.lipsync.visemes import VisemeSet, visemes_of
from voiceclone.server.prepare import Plan
from voiceclone.server.translate import text_span, timing_event
from voiceclone.types import Chunk, Segment, Timing, TimingKind

if TYPE_CHECKING:
    from voiceclone.types import Samples

#: Seconds of audio in the longest chunk: a message stays far below what gRPC clients accept by default.
MAX_CHUNK = 2.0


#: Name of a viseme set -> what plugins add to it: phoneme -> viseme or visemes.
ExtraVisemes = Mapping[str, Mapping[str, str | Sequence[str]]]


class Pipeline:
    """Feed it the chunks of one utterance in order, then ``finish``; both return events in the order they leave.

    Timings and segments wait for the next audio, which they precede, so that they come no later than the chunk they
    start in and cost few messages.
    """

    def __init__(self, plan: Plan, encoding: Encoding, extra_visemes: ExtraVisemes) -> None:
        request, capabilities = plan.request, plan.loaded.model.capabilities
        self.sample_count = 0
        self._native, self._rate = capabilities.sample_rate, plan.sample_rate
        self._gain = None if request.gain_db == 0.0 else np.float32(10.0 ** (request.gain_db / 20.0))
        self._resampler = StreamResampler(self._native, self._rate) if self._native != self._rate else None
        self._encoder = StreamEncoder(encoding, self._rate)
        self._minimum = round(request.min_chunk * self._rate)
        self._maximum = max(round(MAX_CHUNK * self._rate), self._minimum)
        self._wanted = request.timings
        self._derive = TimingKind.VISEME in self._wanted and TimingKind.PHONEME in capabilities.timings
        self._viseme_set = request.viseme_set
        self._extra = extra_visemes.get(request.viseme_set)
        self._fed = 0
        self._pending: list[Samples] = []
        self._pending_count = 0
        self._timings: list[audio_pb2.TimingEvent] = []
        self._segments: list[SegmentBoundary] = []

    def feed(self, chunk: Chunk) -> list[StreamSynthesizeResponse]:
        """Take ``chunk``, return what can leave now."""
        if chunk.segment is not None:
            self._segments.append(self._segment(chunk.segment))
        if self._wanted and chunk.timings:
            self._timings += [timing_event(timing, self._rate, self._native) for timing in self._select(chunk.timings)]
        self._fed += len(chunk.samples)
        samples = chunk.samples if self._gain is None else chunk.samples * self._gain
        self._take(samples if self._resampler is None else self._resampler.feed(samples))
        # The first audio leaves at once, however little it is.
        ready = self._pending_count >= (self._minimum if self.sample_count else 1)
        return self._flush(keep=self._minimum) if ready else []

    def finish(self) -> list[StreamSynthesizeResponse]:
        """Return what is left, after the last chunk."""
        if self._resampler is not None:
            self._take(self._resampler.feed(np.zeros(0, np.float32), last=True))
        events = self._flush(keep=0)
        tail = self._encoder.finish()
        if tail:
            chunk = audio_pb2.AudioChunk(data=tail, start_sample=self.sample_count)
            events.append(StreamSynthesizeResponse(audio=chunk))
        return events

    def _take(self, samples: Samples) -> None:
        if len(samples):
            self._pending.append(samples)
            self._pending_count += len(samples)

    def _flush(self, keep: int) -> list[StreamSynthesizeResponse]:
        """The timings and segments, then the audio in pieces; a rest of less than ``keep`` samples stays."""
        events = [StreamSynthesizeResponse(segment=segment) for segment in self._segments]
        if self._timings:
            events.append(StreamSynthesizeResponse(timing=TimingEvents(events=self._timings)))
        self._segments, self._timings = [], []
        if not self._pending:
            return events
        samples = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
        position = 0
        while position < len(samples) and (position == 0 or len(samples) - position >= keep):
            piece = samples[position : position + self._maximum]
            chunk = audio_pb2.AudioChunk(
                data=self._encoder.encode(piece), start_sample=self.sample_count, sample_count=len(piece)
            )
            self.sample_count += len(piece)
            position += len(piece)
            events.append(StreamSynthesizeResponse(audio=chunk))
        rest = samples[position:]
        self._pending, self._pending_count = [rest] if len(rest) else [], len(rest)
        return events

    def _segment(self, segment: Segment) -> SegmentBoundary:
        return SegmentBoundary(
            index=segment.index,
            span=text_span(segment.span),
            normalized_text=segment.normalized_text,
            start_sample=self._fed * self._rate // self._native,
        )

    def _select(self, timings: Sequence[Timing]) -> list[Timing]:
        """The timings of the kinds asked for, in order of their start, visemes made from the phonemes."""
        found = [timing for timing in timings if timing.kind in self._wanted]
        if self._derive:
            phonemes = [timing for timing in timings if timing.kind is TimingKind.PHONEME]
            found = [timing for timing in found if timing.kind is not TimingKind.VISEME]
            found += visemes_of(phonemes, VisemeSet[self._viseme_set], self._extra)
        return sorted(found, key=lambda timing: timing.start_sample)

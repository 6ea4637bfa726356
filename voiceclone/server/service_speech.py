"""SpeechService: text in, speech out, whole or as it is made."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator

import numpy as np
from google.protobuf.duration_pb2 import Duration

from voiceclone._proto.v1 import speech_service_pb2, speech_service_pb2_grpc
from voiceclone.audio import Encoding, encode_file
from voiceclone.engine import Stream
from voiceclone.server.catalogue import Catalogue
from voiceclone.server.interceptor import CALL, Context
from voiceclone.server.pipeline import ExtraVisemes, Pipeline
from voiceclone.server.prepare import Prepared, Preparer
from voiceclone.types import Chunk

Event = speech_service_pb2.StreamSynthesizeResponse


class SpeechService(speech_service_pb2_grpc.SpeechServiceServicer):
    """Both calls tell the same events: Synthesize joins what StreamSynthesize sends."""

    def __init__(self, catalogue: Catalogue, extra_visemes: ExtraVisemes) -> None:
        self.catalogue = catalogue
        self.engine = catalogue.engine
        self.preparer = Preparer(catalogue)
        self.extra_visemes = extra_visemes

    async def Synthesize(
        self, request: speech_service_pb2.SynthesizeRequest, context: Context
    ) -> speech_service_pb2.SynthesizeResponse:
        prepared = await self.preparer.prepare(request)
        encoding = prepared.plan.request.encoding
        parts: list[bytes] = []
        async with self._start(prepared, math.inf) as stream:
            # A file is made of the finished samples: its header tells their number, a codec wants them all.
            telling = Telling(prepared, encoding if encoding.raw else Encoding.PCM_F32LE, self.extra_visemes)
            response = speech_service_pb2.SynthesizeResponse(header=telling.header)
            await stream.opened()
            if request.validate_only:
                return response
            async for chunk in stream:
                parts += _join(response, telling.feed(chunk))
        parts += _join(response, telling.finish(stream))
        audio = b"".join(parts)
        if not encoding.raw:
            samples = np.frombuffer(audio, "<f4")
            audio = await asyncio.to_thread(encode_file, samples, prepared.plan.sample_rate, encoding)
        response.audio = audio
        return response

    async def StreamSynthesize(
        self, request: speech_service_pb2.StreamSynthesizeRequest, context: Context
    ) -> AsyncIterator[Event]:
        prepared = await self.preparer.prepare(request)
        asked = prepared.plan.request
        async with self._start(prepared, asked.max_lead) as stream:
            telling = Telling(prepared, asked.encoding, self.extra_visemes)
            await stream.opened()
            yield Event(header=telling.header)
            async for chunk in stream:
                for event in telling.feed(chunk):
                    yield event
        for event in telling.finish(stream):
            yield event

    def _start(self, prepared: Prepared, max_lead: float | None) -> Stream:
        timeout = CALL.get().remaining
        return self.engine.start(prepared.plan.loaded, prepared.utterance, timeout=timeout, max_lead=max_lead)


class Telling:
    """The events of one utterance, header to summary."""

    def __init__(self, prepared: Prepared, encoding: Encoding, extra_visemes: ExtraVisemes) -> None:
        self.header = _header(prepared)
        self._pipeline = Pipeline(prepared.plan, encoding, extra_visemes)
        self._char_count = len(prepared.utterance.text)
        self._started, self._first_audio = CALL.get().started, 0.0

    def feed(self, chunk: Chunk) -> list[Event]:
        """What leaves when ``chunk`` is there."""
        events = self._pipeline.feed(chunk)
        if not self._first_audio and self._pipeline.sample_count:
            self._first_audio = time.monotonic() - self._started
        return events

    def finish(self, stream: Stream) -> list[Event]:
        """What is left when ``stream`` has ended, and the summary."""
        events = self._pipeline.finish()
        summary = speech_service_pb2.StreamSummary(
            sample_count=self._pipeline.sample_count,
            input_char_count=self._char_count,
            queue_duration=_duration(stream.queue_seconds),
            first_audio_duration=_duration(self._first_audio),
            compute_duration=_duration(stream.compute_seconds),
            truncated=stream.truncated,
        )
        return [*events, Event(summary=summary)]


def _join(response: speech_service_pb2.SynthesizeResponse, events: list[Event]) -> Iterator[bytes]:
    """Put ``events`` into ``response``, all but their audio, which is yielded."""
    for event in events:
        kind = event.WhichOneof("event")
        if kind == "audio":
            yield event.audio.data
        elif kind == "timing":
            response.timings.extend(event.timing.events)
        elif kind == "segment":
            response.segments.append(event.segment)
        else:
            response.summary.CopyFrom(event.summary)


def _header(prepared: Prepared) -> speech_service_pb2.StreamHeader:
    header, utterance = speech_service_pb2.StreamHeader(), prepared.utterance
    header.CopyFrom(prepared.plan.header)
    header.request_id = CALL.get().request_id
    header.seed = utterance.seed
    header.reproduction_key = prepared.plan.keys.reproduction(utterance.text, utterance.seed)
    header.content_key = prepared.plan.keys.content(utterance.text, prepared.seed)
    return header


def _duration(seconds: float) -> Duration:
    whole = int(seconds)
    return Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))

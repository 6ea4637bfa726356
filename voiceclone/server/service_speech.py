"""SpeechService: text in, speech out, whole or as it is made."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import numpy as np
from google.protobuf.duration_pb2 import Duration

from voiceclone._proto.v1 import audio_pb2, speech_service_pb2, speech_service_pb2_grpc
from voiceclone.audio import Encoding, encode_file
from voiceclone.engine import Stream
from voiceclone.server.catalogue import Catalogue
from voiceclone.server.interceptor import CALL, Context
from voiceclone.server.keys import keys_of
from voiceclone.server.pipeline import ExtraVisemes, Pipeline
from voiceclone.server.prepare import Prepared, prepare
from voiceclone.server.request import WIRE_NAMES, parse
from voiceclone.server.translate import timing_values

Event = speech_service_pb2.StreamSynthesizeResponse


class SpeechService(speech_service_pb2_grpc.SpeechServiceServicer):
    """Both calls read the same events: Synthesize joins what StreamSynthesize sends."""

    def __init__(self, catalogue: Catalogue, extra_visemes: ExtraVisemes) -> None:
        self.catalogue = catalogue
        self.engine = catalogue.engine
        self.extra_visemes = extra_visemes

    async def Synthesize(
        self, request: speech_service_pb2.SynthesizeRequest, context: Context
    ) -> speech_service_pb2.SynthesizeResponse:
        prepared = await prepare(self.catalogue, parse(request, self.catalogue.settings))
        if request.validate_only:
            async with await self._submit(prepared):
                return speech_service_pb2.SynthesizeResponse(header=_header(prepared))
        encoding = prepared.request.encoding
        # A file is made of the finished samples: its header tells their number, a codec wants them all.
        working = encoding if encoding.raw else Encoding.PCM_F32LE
        response, parts = speech_service_pb2.SynthesizeResponse(), []
        async with aclosing(self._speak(prepared, working, math.inf)) as events:
            async for event in events:
                kind = event.WhichOneof("event")
                if kind == "audio":
                    parts.append(event.audio.data)
                elif kind == "timing":
                    response.timings.extend(event.timing.events)
                elif kind == "segment":
                    response.segments.append(event.segment)
                elif kind == "header":
                    response.header.CopyFrom(event.header)
                else:
                    response.summary.CopyFrom(event.summary)
        audio = b"".join(parts)
        if not encoding.raw:
            samples = np.frombuffer(audio, "<f4")
            audio = await asyncio.to_thread(encode_file, samples, prepared.sample_rate, encoding)
        response.audio = audio
        return response

    async def StreamSynthesize(
        self, request: speech_service_pb2.StreamSynthesizeRequest, context: Context
    ) -> AsyncIterator[Event]:
        prepared = await prepare(self.catalogue, parse(request, self.catalogue.settings))
        async with aclosing(self._speak(prepared, prepared.request.encoding, prepared.request.max_lead)) as events:
            async for event in events:
                yield event

    async def _submit(self, prepared: Prepared, max_lead: float | None = None) -> Stream:
        timeout = CALL.get().remaining
        return await self.engine.submit(prepared.loaded, prepared.utterance, timeout=timeout, max_lead=max_lead)

    async def _speak(
        self, prepared: Prepared, encoding: Encoding, max_lead: float | None
    ) -> AsyncGenerator[Event, None]:
        """The events of one utterance, header to summary; closing this ends the work."""
        started, first_audio = CALL.get().started, 0.0
        pipeline = Pipeline(prepared, encoding, self.extra_visemes)
        # Made before the work begins: later it would take the interpreter from the thread that makes the first audio.
        header = Event(header=_header(prepared))
        async with await self._submit(prepared, max_lead) as stream:
            yield header
            async for chunk in stream:
                for event in pipeline.feed(chunk):
                    if not first_audio and event.WhichOneof("event") == "audio":
                        first_audio = time.monotonic() - started
                    yield event
            for event in pipeline.finish():
                yield event
            summary = speech_service_pb2.StreamSummary(
                sample_count=pipeline.sample_count,
                input_char_count=len(prepared.request.text),
                queue_duration=_duration(stream.queue_seconds),
                first_audio_duration=_duration(first_audio),
                compute_duration=_duration(stream.compute_seconds),
                truncated=stream.truncated,
            )
            yield Event(summary=summary)


def _header(prepared: Prepared) -> speech_service_pb2.StreamHeader:
    request = prepared.request
    audio_format = audio_pb2.AudioFormat(
        encoding=WIRE_NAMES[request.encoding], sample_rate_hertz=prepared.sample_rate, channel_count=1
    )
    content_key, reproduction_key = keys_of(prepared)
    return speech_service_pb2.StreamHeader(
        request_id=CALL.get().request_id,
        audio_format=audio_format,
        voice=request.voice,
        model=f"models/{prepared.loaded.key}",
        seed=prepared.utterance.seed,
        reproduction_key=reproduction_key,
        content_key=content_key,
        timings=timing_values(request.timings),
    )


def _duration(seconds: float) -> Duration:
    whole = int(seconds)
    return Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))

"""VoiceService: enrolment, and keeping what was enrolled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from google.protobuf.empty_pb2 import Empty

from voiceclone._proto.v1 import voice_service_pb2, voice_service_pb2_grpc
from voiceclone.audio import RawFormat
from voiceclone.errors import ConsentRequired, InvalidRequest, SampleTooLong
from voiceclone.server.catalogue import Catalogue
from voiceclone.server.interceptor import Context
from voiceclone.server.pages import page_size
from voiceclone.server.request import ENCODINGS, Violations
from voiceclone.server.translate import consent_record, sample_message, voice_changes, voice_message


class VoiceService(voice_service_pb2_grpc.VoiceServiceServicer):
    """Serves the voice store; encoding runs on the model's device between the steps of running speech."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.store = catalogue.store

    async def CreateVoice(
        self, request: voice_service_pb2.CreateVoiceRequest, context: Context
    ) -> voice_service_pb2.Voice:
        given, wrong = request.voice, Violations()
        if not request.voice_id:
            wrong.add("voice_id", "must be set.")
        if not given.samples:
            wrong.add("voice.samples", "must name at least one sample; UploadSample makes them.")
        for index, name in enumerate(given.samples):
            wrong.resource(f"voice.samples[{index}]", name, "samples")
        model = wrong.resource("voice.model", given.model, "models") if given.model else ""
        has_consent = given.HasField("consent")
        consent = consent_record(given.consent, "voice.consent", wrong) if has_consent else None
        wrong.raise_any()
        if consent is None:
            raise ConsentRequired(
                "A voice is cloned only with its speaker's consent on record.",
                subject="voice.consent",
                hint="Set voice.consent to who agreed, and how.",
            )
        loaded = await self.catalogue.model(model or self.catalogue.registry.default_model())
        references = await asyncio.to_thread(self.store.sample_references, list(given.samples))
        conditioning = await self.catalogue.encode(loaded, references)
        voice = await asyncio.to_thread(
            self.store.create_voice,
            request.voice_id,
            model=f"models/{loaded.info.name}",
            samples=list(given.samples),
            consent=consent,
            display_name=given.display_name,
            languages=tuple(given.language_codes),
            labels=dict(given.labels),
            request_id=request.request_id,
            conditioning={(loaded.info.name, loaded.info.revision): conditioning},
        )
        self.catalogue.forget(voice.name)
        return voice_message(voice)

    async def GetVoice(self, request: voice_service_pb2.GetVoiceRequest, context: Context) -> voice_service_pb2.Voice:
        return voice_message(await asyncio.to_thread(self.store.get_voice, request.name))

    async def ListVoices(
        self, request: voice_service_pb2.ListVoicesRequest, context: Context
    ) -> voice_service_pb2.ListVoicesResponse:
        size = page_size(request.page_size)
        found, token = await asyncio.to_thread(self.store.list_voices, size, request.page_token, request.filter)
        return voice_service_pb2.ListVoicesResponse(voices=map(voice_message, found), next_page_token=token)

    async def UpdateVoice(
        self, request: voice_service_pb2.UpdateVoiceRequest, context: Context
    ) -> voice_service_pb2.Voice:
        wrong = Violations()
        changes = voice_changes(request, wrong)
        wrong.raise_any()
        voice = await asyncio.to_thread(self.store.update_voice, request.voice.name, changes, request.voice.etag)
        self.catalogue.forget(voice.name)
        return voice_message(voice)

    async def DeleteVoice(self, request: voice_service_pb2.DeleteVoiceRequest, context: Context) -> Empty:
        await asyncio.to_thread(self.store.delete_voice, request.name, request.etag)
        self.catalogue.forget(request.name)
        return Empty()

    async def UploadSample(
        self, requests: AsyncIterator[voice_service_pb2.UploadSampleRequest], context: Context
    ) -> voice_service_pb2.Sample:
        settings = self.catalogue.settings
        config: voice_service_pb2.UploadSampleRequest.Config | None = None
        raw: RawFormat | None = None
        data = bytearray()
        async for request in requests:
            if config is None:
                if request.WhichOneof("payload") != "config":
                    raise InvalidRequest("The first message must hold the config, not data.", field="config")
                config, raw = request.config, _check_config(request.config, settings.max_sample_bytes)
                continue
            if request.WhichOneof("payload") != "data":
                raise InvalidRequest("Only the first message holds a config; the others hold data.", field="data")
            if len(request.data) > settings.max_sample_message_bytes:
                limit = settings.max_sample_message_bytes
                raise InvalidRequest(f"One message holds {len(request.data)} bytes, {limit} are allowed.", field="data")
            data += request.data
            if len(data) > config.size_bytes:
                break
        if config is None:
            raise InvalidRequest("No message came; the first holds the config.", field="config")
        if len(data) != config.size_bytes:
            more = "more" if len(data) > config.size_bytes else f"{len(data)}"
            raise InvalidRequest(f"{config.size_bytes} bytes were announced, {more} came.", field="config.size_bytes")
        sample = await asyncio.to_thread(
            self.store.add_sample,
            bytes(data),
            sample_id=config.sample_id,
            transcript=config.transcript,
            language=config.language_code,
            raw=raw,
        )
        return sample_message(sample)


def _check_config(config: voice_service_pb2.UploadSampleRequest.Config, limit: int) -> RawFormat | None:
    """The raw layout of an upload, None for a file that says it itself. Raises InvalidRequest, SampleTooLong."""
    if config.size_bytes > limit:
        raise SampleTooLong(
            f"The recording has {config.size_bytes} bytes, the limit is {limit}.", field="config.size_bytes"
        )
    wrong = Violations()
    if config.size_bytes <= 0:
        wrong.add("config.size_bytes", "must be the number of bytes that follow.")
    raw, given = None, config.audio_format
    if config.HasField("audio_format"):
        encoding = ENCODINGS.get(given.encoding)
        if encoding is None or not encoding.raw:
            wrong.add("config.audio_format.encoding", "must be a raw encoding; leave the format out for a file.")
        else:
            channels = given.channel_count if given.HasField("channel_count") else 1
            raw = RawFormat(encoding, given.sample_rate_hertz, channels)
    wrong.raise_any()
    return raw

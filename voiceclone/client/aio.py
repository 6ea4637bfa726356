"""The client for asyncio: the methods of ``Client``, awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import grpc
from google.longrunning import operations_pb2
from grpc_health.v1 import health_pb2
from typing_extensions import Self, Unpack

from voiceclone._proto.v1 import model_service_pb2, voice_service_pb2
from voiceclone.client.channel import DEFAULT_ADDRESS, DEFAULT_TIMEOUT, OPTIONS, WAIT_SLICE, Stubs
from voiceclone.client.enrol import Recording, as_recordings, create_request, update_request, upload
from voiceclone.client.failures import typed_errors
from voiceclone.client.options import SpeechOptions, duration, stream_request, whole_request
from voiceclone.client.records import Consent, Model, Sample, Voice, read_model, read_sample, read_voice, resource_name
from voiceclone.client.speech import Event, Header, Speech, read_event, read_speech
from voiceclone.client.sync import finished_model
from voiceclone.errors import DeadlineExceeded


class AsyncClient:
    """Speaks to one server from one event loop. Every method raises exceptions of ``voiceclone.errors``.

    Names may be given with or without their collection: "ann" is "voices/ann".
    """

    def __init__(self, address: str = DEFAULT_ADDRESS, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.address = address
        self.timeout = timeout
        self._channel = grpc.aio.insecure_channel(address, OPTIONS)
        self._stubs = Stubs(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; running streams end."""
        await self._channel.close()

    async def _call(self, method: Any, request: Any, timeout: float | None = None) -> Any:
        with typed_errors(self.address):
            return await method(request, timeout=self.timeout if timeout is None else timeout)

    # -- speech -------------------------------------------------------------------------------------------------------

    async def say(self, text: str, voice: str, **options: Unpack[SpeechOptions]) -> Speech:
        """Speak ``text`` in ``voice`` and return all of it."""
        request = whole_request(text, voice, options)
        return read_speech(await self._call(self._stubs.speech.Synthesize, request, options.get("timeout")))

    async def stream(self, text: str, voice: str, **options: Unpack[SpeechOptions]) -> AsyncIterator[Event]:
        """Yield Header, then SegmentStart, Timing and Audio as they are made, then Summary.

        Closing the generator (``contextlib.aclosing``) or cancelling the task stops the work on the server.
        """
        request = stream_request(text, voice, options)
        with typed_errors(self.address):
            call = self._stubs.speech.StreamSynthesize(request, timeout=options.get("timeout"))
            encoding = None
            try:
                async for message in call:
                    for event in read_event(message, encoding):
                        encoding = event.encoding if isinstance(event, Header) else encoding
                        yield event
            finally:
                call.cancel()

    # -- voices -------------------------------------------------------------------------------------------------------

    async def clone(
        self,
        voice_id: str,
        recordings: Recording | Sequence[Recording],
        *,
        speaker: str = "",
        consent: Consent | None = None,
        transcripts: Sequence[str] = (),
        model: str = "",
        display_name: str = "",
        languages: Sequence[str] = (),
        labels: Mapping[str, str] = {},
        request_id: str = "",
    ) -> Voice:
        """Upload recordings of a speaker and make a voice of them; ``speaker`` alone: you vouch for the consent."""
        samples = []
        for index, recording in enumerate(as_recordings(recordings)):
            transcript = transcripts[index] if index < len(transcripts) else ""
            samples.append((await self.upload(recording, transcript, languages[0] if languages else "")).name)
        fields = {
            "model": model, "display_name": display_name, "languages": languages, "labels": labels,
            "request_id": request_id,
        }  # fmt: skip
        request = create_request(voice_id, samples, consent, speaker, fields)
        return read_voice(await self._call(self._stubs.voices.CreateVoice, request))

    async def upload(self, recording: Recording, transcript: str = "", language: str = "") -> Sample:
        """Upload one recording; the same one again gives the same sample."""
        messages = await asyncio.to_thread(upload, recording, transcript, language)
        return read_sample(await self._call(self._stubs.voices.UploadSample, iter(messages)))

    async def voice(self, name: str) -> Voice:
        request = voice_service_pb2.GetVoiceRequest(name=resource_name("voices", name))
        return read_voice(await self._call(self._stubs.voices.GetVoice, request))

    async def voices(self, filter: str = "") -> list[Voice]:
        """All voices, or those that ``filter`` picks: ``labels.mood = calm AND language = en``."""
        found, token = [], ""
        while True:
            request = voice_service_pb2.ListVoicesRequest(filter=filter, page_token=token, page_size=1000)
            page = await self._call(self._stubs.voices.ListVoices, request)
            found += [read_voice(voice) for voice in page.voices]
            token = page.next_page_token
            if not token:
                return found

    async def update_voice(self, name: str, *, etag: str = "", **changes: Any) -> Voice:
        """Change ``display_name``, ``languages``, ``labels`` or ``consent``; ``etag`` refuses if somebody else did."""
        return read_voice(await self._call(self._stubs.voices.UpdateVoice, update_request(name, etag, changes)))

    async def delete_voice(self, name: str, *, etag: str = "") -> None:
        request = voice_service_pb2.DeleteVoiceRequest(name=resource_name("voices", name), etag=etag)
        await self._call(self._stubs.voices.DeleteVoice, request)

    # -- models -------------------------------------------------------------------------------------------------------

    async def model(self, name: str) -> Model:
        request = model_service_pb2.GetModelRequest(name=resource_name("models", name))
        return read_model(await self._call(self._stubs.models.GetModel, request))

    async def models(self) -> list[Model]:
        found, token = [], ""
        while True:
            request = model_service_pb2.ListModelsRequest(page_token=token, page_size=1000)
            page = await self._call(self._stubs.models.ListModels, request)
            found += [read_model(model) for model in page.models]
            token = page.next_page_token
            if not token:
                return found

    async def load_model(self, name: str, *, device: str = "", timeout: float = 600.0) -> Model:
        """Bring a model into memory and wait until it is ready."""
        request = model_service_pb2.LoadModelRequest(name=resource_name("models", name), device=device)
        return await self._wait(await self._call(self._stubs.models.LoadModel, request), timeout)

    async def unload_model(self, name: str, *, force: bool = False, timeout: float = 600.0) -> Model:
        """Free a model once what it is saying is over, or now with ``force``."""
        request = model_service_pb2.UnloadModelRequest(name=resource_name("models", name), force=force)
        return await self._wait(await self._call(self._stubs.models.UnloadModel, request), timeout)

    async def _wait(self, operation: operations_pb2.Operation, timeout: float) -> Model:
        end = time.monotonic() + timeout
        while not operation.done:
            left = end - time.monotonic()
            if left <= 0:
                raise DeadlineExceeded(f"{operation.name} is still running.", hint="It goes on without you.")
            request = operations_pb2.WaitOperationRequest(name=operation.name, timeout=duration(min(left, WAIT_SLICE)))
            operation = await self._call(self._stubs.operations.WaitOperation, request)
        return finished_model(operation)

    # -- the server ---------------------------------------------------------------------------------------------------

    async def wait_ready(self, timeout: float = 60.0) -> None:
        """Return once the server says that it serves. Raises ServerUnreachable, DeadlineExceeded."""
        end = time.monotonic() + timeout
        while True:
            with typed_errors(self.address):
                left = max(end - time.monotonic(), 0.01)
                check = self._stubs.health.Check(health_pb2.HealthCheckRequest(), timeout=left, wait_for_ready=True)
                answer = await check
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            if time.monotonic() > end:
                raise DeadlineExceeded(f"The server at {self.address} does not serve yet.")
            await asyncio.sleep(0.05)

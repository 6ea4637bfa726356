"""Puts the server together, runs it until it is told to stop, and lets what is being said finish before it goes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
from google.longrunning import operations_pb2_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from voiceclone._proto.v1 import (
    model_service_pb2_grpc,
    speech_service_pb2_grpc,
    voice_service_pb2_grpc,
)
from voiceclone.engine import Engine, Limits
from voiceclone.errors import PreconditionFailed
from voiceclone.lipsync.visemes import VisemeSet, visemes_of_phoneme
from voiceclone.plugins import Plugins
from voiceclone.registry import Registry
from voiceclone.server.catalogue import Catalogue
from voiceclone.server.interceptor import CallInterceptor
from voiceclone.server.operations import Operations
from voiceclone.server.pipeline import ExtraVisemes
from voiceclone.server.service_model import ModelService
from voiceclone.server.service_speech import SpeechService
from voiceclone.server.service_voice import VoiceService
from voiceclone.server.settings import Settings
from voiceclone.voices import VoiceStore

log = logging.getLogger("voiceclone.server")

#: Names under which health is told; the empty one speaks for the server as a whole.
SERVICES = (
    "voiceclone.v1.SpeechService",
    "voiceclone.v1.VoiceService",
    "voiceclone.v1.ModelService",
    "google.longrunning.Operations",
)
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Server:
    """A server of one registry and one voice store; made, started and stopped on one event loop.

    ``plugins`` may add phonemes to the viseme sets.
    """

    def __init__(
        self,
        registry: Registry,
        store: VoiceStore,
        settings: Settings | None = None,
        limits: Limits | None = None,
        plugins: Plugins | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.engine = Engine(limits or Limits())
        self.catalogue = Catalogue(registry, store, self.engine, self.settings)
        self.calls = CallInterceptor(self.settings)
        self.operations = Operations(self.settings)
        self.health = health.aio.HealthServicer()
        #: The port in use, once started.
        self.port = 0
        self._grpc = grpc.aio.server(
            interceptors=(self.calls,),
            options=(
                ("grpc.max_receive_message_length", self.settings.max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ),
        )
        speech = SpeechService(self.catalogue, _extra_visemes(plugins))
        speech_service_pb2_grpc.add_SpeechServiceServicer_to_server(speech, self._grpc)  # type: ignore[no-untyped-call]
        voice_service_pb2_grpc.add_VoiceServiceServicer_to_server(VoiceService(self.catalogue), self._grpc)  # type: ignore[no-untyped-call]
        models = ModelService(self.catalogue, self.operations)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(models, self._grpc)  # type: ignore[no-untyped-call]
        operations_pb2_grpc.add_OperationsServicer_to_server(self.operations, self._grpc)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._grpc)
        if self.settings.reflection:
            self._serve_reflection()

    def _serve_reflection(self) -> None:
        """Serve v1alpha, which is what grpcio brings, and v1, which is the same under its final name."""
        servicer = reflection.aio.ReflectionServicer((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME))
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, self._grpc)
        method = grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        final = grpc.method_handlers_generic_handler(
            "grpc.reflection.v1.ServerReflection", {"ServerReflectionInfo": method}
        )
        self._grpc.add_generic_rpc_handlers((final,))

    async def start(self) -> None:
        """Listen, load the models named in the settings, then call the server healthy.

        Raises PreconditionFailed where the address is taken, and what a failed load raises.
        """
        await self._tell(_NOT_SERVING)
        try:
            self.port = self._grpc.add_insecure_port(self.settings.address)
        except RuntimeError as error:
            address = self.settings.address
            raise PreconditionFailed(f"{address} cannot be listened on.", hint="Is it in use? Try --port 0.") from error
        await self._grpc.start()
        await asyncio.gather(*(self.catalogue.load(name) for name in self.settings.load))
        await self._tell(_SERVING)
        log.info("serving on %s port %d", self.settings.host, self.port)

    async def drain(self, grace: float) -> None:
        """Say NOT_SERVING, refuse new calls, wait ``grace`` seconds for those that run."""
        await self.health.enter_graceful_shutdown()
        self.calls.draining = True
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.calls.idle.wait(), grace)

    async def stop(self, grace: float = 0.0) -> None:
        """Drain, then end everything that is left."""
        await self.drain(grace)
        await self.operations.stop()
        await self._grpc.stop(0.5)
        await self.engine.stop()
        self.catalogue.close()

    async def _tell(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *SERVICES):
            await self.health.set(name, status)


def _extra_visemes(plugins: Plugins | None) -> ExtraVisemes:
    """What plugins add to each viseme set; a phoneme mapped to a viseme that the set lacks is left out."""
    found: dict[str, dict[str, Any]] = {}
    for viseme_set in VisemeSet if plugins is not None else ():
        good = found[viseme_set.value] = {}
        for phoneme, viseme in plugins.viseme_map(viseme_set.value).items() if plugins else ():
            try:
                visemes_of_phoneme(phoneme, viseme_set, {phoneme: viseme})
            except (TypeError, ValueError) as error:
                log.warning("a plugin's viseme for %r in %s is left out: %s", phoneme, viseme_set.value, error)
            else:
                good[phoneme] = viseme
    return found


async def run(server: Server, started: Callable[[Server], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends the grace."""
    loop = asyncio.get_running_loop()
    first, second = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (second if first.is_set() else first).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await server.start()
    # Code and models are here for good. Looking through them for garbage stops every stream for a tenth of a second.
    gc.collect()
    gc.freeze()
    if started is not None:
        started(server)
    await first.wait()
    log.info("draining for at most %.0f s; a second signal ends it now", server.settings.drain_grace)
    draining = asyncio.ensure_future(server.drain(server.settings.drain_grace))
    await asyncio.wait([draining, asyncio.ensure_future(second.wait())], return_when=asyncio.FIRST_COMPLETED)
    await server.stop()


def serve(make: Callable[[], Server], started: Callable[[Server], None] | None = None) -> None:
    """Run the server that ``make`` builds, until a signal stops it; ``started`` is told when it serves."""

    async def main() -> None:
        await run(make(), started)

    run_loop(main())


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """``asyncio.run`` on uvloop where it exists: it halves the cost of a call."""
    if sys.platform == "win32":
        asyncio.run(main)
        return
    import uvloop

    uvloop.run(main)

"""The process that is measured: a server, and beside it a bare grpc.aio server that shows what gRPC alone costs."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc

from voiceclone.plugins import load_plugins
from voiceclone.registry import Registry
from voiceclone.server.main import Server, run_loop
from voiceclone.server.settings import Settings
from voiceclone.testing import tone
from voiceclone.types import Utterance
from voiceclone.voices import VoiceStore


class Bare:
    """What a call would cost without a server of ours: the echo of bytes, and the engine behind bare gRPC."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._conditioning = b""

    async def echo(self, request: bytes, context: Any) -> bytes:
        """As many bytes as ``request`` says."""
        return bytes(int(request))

    async def engine(self, request: bytes, context: Any) -> bytes:
        """The samples of one utterance, straight from the engine."""
        loaded = self.server.catalogue.registry.get("tone")
        assert loaded is not None
        if not self._conditioning:
            voice = await self.server.catalogue.voice("voices/tone")
            self._conditioning = (await self.server.catalogue.data(voice, loaded)).conditioning
        utterance = Utterance(
            text=request.decode(), voice=self._conditioning, language="en", options=loaded.model.options()
        )
        async with await self.server.engine.submit(loaded, utterance, max_lead=math.inf) as stream:
            return b"".join([chunk.samples.astype("<i2").tobytes() async for chunk in stream])

    async def cpu(self, request: bytes, context: Any) -> bytes:
        """CPU seconds of this process so far."""
        return repr(time.process_time()).encode()


async def main(model: str, folder: Path) -> None:
    plugins = load_plugins()
    plugins.register(tone, "tone-of-the-benchmark")
    registry = Registry(plugins)
    loaded = tuple(dict.fromkeys(("tone", model or registry.default_model())))
    server = Server(registry, VoiceStore(directory=folder), Settings(port=0, load=loaded), plugins=plugins)
    bare = Bare(server)
    plain = grpc.aio.server()
    methods = {name: grpc.unary_unary_rpc_method_handler(getattr(bare, name)) for name in ("echo", "engine", "cpu")}
    plain.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare", methods),))
    port = plain.add_insecure_port("127.0.0.1:0")
    await plain.start()
    await server.start()
    print(server.port, port, loaded[-1], flush=True)
    # The parent closes our standard input when it is done, or dies.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop()
    await plain.stop(0)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if cores := set(map(int, sys.argv[2:])):
        os.sched_setaffinity(0, cores)  # before there are threads, which inherit it
    with tempfile.TemporaryDirectory() as folder:
        run_loop(main(sys.argv[1] if len(sys.argv) > 1 else "", Path(folder)))

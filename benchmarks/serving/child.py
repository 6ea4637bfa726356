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
    """Calls without messages of ours: an echo, the engine alone, and the process's CPU time."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def echo(self, request: bytes, context: Any) -> bytes:
        """As many bytes as ``request`` says."""
        return bytes(int(request))

    async def engine(self, request: bytes, context: Any) -> bytes:
        """Seconds that one utterance takes between submission and its last chunk, without server around it."""
        loaded = self.server.catalogue.registry.get("tone")
        assert loaded is not None
        voice = await asyncio.to_thread(self.server.catalogue.store.get_voice, "voices/tone")
        data = await self.server.catalogue.data(voice, loaded)
        utterance = Utterance(
            text=request.decode(), voice=data.conditioning, language="en", options=loaded.model.options()
        )
        begin = time.perf_counter()
        async with await self.server.engine.submit(loaded, utterance, max_lead=math.inf) as stream:
            async for _ in stream:
                pass
        return repr(time.perf_counter() - begin).encode()

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
    with tempfile.TemporaryDirectory() as folder:
        run_loop(main(sys.argv[1] if len(sys.argv) > 1 else "", Path(folder)))

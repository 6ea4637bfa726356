"""A real server on a free loopback port, in a thread of its own, for the time of a ``with`` block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from voiceclone.engine import Limits
from voiceclone.plugins import Plugins, load_plugins
from voiceclone.registry import Registry
from voiceclone.server.main import Server
from voiceclone.server.settings import Settings
from voiceclone.voices import VoiceStore

T = TypeVar("T")


class ServerFixture:
    """A running server: ``address`` is for clients; ``run`` does something on its event loop."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, store: VoiceStore) -> None:
        self.server = server
        self.store = store
        self._loop = loop

    @property
    def address(self) -> str:
        """``127.0.0.1:port``."""
        return f"127.0.0.1:{self.server.port}"

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 60.0) -> T:
        """The result of ``work``, run on the server's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)


@contextmanager
def running_server(
    directory: Path,
    *,
    load: tuple[str, ...] = ("tone",),
    limits: Limits | None = None,
    plugins: Plugins | None = None,
    **settings: Any,
) -> Iterator[ServerFixture]:
    """Serve the installed plugins with the models in ``load`` loaded and all data under ``directory``.

    ``settings`` are those of :class:`voiceclone.server.settings.Settings`.
    """
    plugins = plugins or load_plugins()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="voiceclone-server", daemon=True)
    thread.start()
    store = VoiceStore(directory=directory)

    async def make() -> Server:
        chosen = Settings(**{"port": 0, "load": load, "drain_grace": 5.0, **settings})
        server = Server(Registry(plugins), store, chosen, limits, plugins)
        try:
            await server.start()
        except BaseException:
            await server.stop()
            raise
        return server

    try:
        server = asyncio.run_coroutine_threadsafe(make(), loop).result(120)
        fixture = ServerFixture(server, loop, store)
        try:
            yield fixture
        finally:
            fixture.run(server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

"""The server a command speaks to: one that runs, or one of its own for as long as the command lasts."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from voiceclone.cli.console import note

if TYPE_CHECKING:
    from voiceclone.client import Client
    from voiceclone.engine import Limits
    from voiceclone.plugins import Plugins
    from voiceclone.server.main import Server
    from voiceclone.server.settings import Settings

DEFAULT = "127.0.0.1:50051"
#: In place of an address: start a server for this command whatever else runs.
LOCAL = "local"

#: The option of every command that speaks to a server.
ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        envvar="VOICECLONE_SERVER",
        metavar="HOST:PORT",
        help=f"Server to use; 'local' starts one for this command. Default: {DEFAULT}, or local if none runs.",
    ),
]


def build_server(
    settings: Settings,
    *,
    directory: Path | None = None,
    database: str | None = None,
    device: str = "auto",
    limits: Limits | None = None,
    plugins: Plugins | None = None,
) -> Server:
    """Put a server together: the installed plugins, the user's models and the voices in ``directory``."""
    from voiceclone.models import ModelStore
    from voiceclone.plugins import load_plugins
    from voiceclone.registry import Registry
    from voiceclone.server.main import Server
    from voiceclone.voices import VoiceStore

    plugins = plugins or load_plugins()
    registry = Registry(plugins, store=ModelStore(), device=device)
    return Server(registry, VoiceStore(database, directory), settings, limits, plugins)


@contextmanager
def local_server(directory: Path | None = None) -> Iterator[str]:
    """Run a server on a free loopback port in a thread; yield its address."""
    from voiceclone.server.settings import Settings

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="voiceclone-server", daemon=True)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    async def start() -> Server:
        server = build_server(Settings(port=0, drain_grace=1.0), directory=directory)
        await server.start()
        return server

    try:
        server = cast("Server", run(start()))
        try:
            yield f"127.0.0.1:{server.port}"
        finally:
            run(server.stop())
            server.catalogue.store.close()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def connected(address: str = "", directory: Path | None = None) -> Iterator[Client]:
    """Yield a client of the server at ``address``; without one, of the running server or of a local one.

    Where ``address`` was given and nothing answers there, the first call raises ServerUnreachable.
    """
    from voiceclone.client import Client

    found = address or running()
    if found and found != LOCAL:
        with Client(found) as client:
            yield client
        return
    if not address:
        note(f"no server runs at {DEFAULT}: starting one for this command")
    with local_server(directory) as own, Client(own) as client:
        yield client


def running() -> str:
    """Return the address of the server on the default port, empty where none answers."""
    host, _, port = DEFAULT.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=0.3).close()
    except OSError:
        return ""
    from voiceclone.client import Client
    from voiceclone.errors import VoicecloneError

    try:
        with Client(DEFAULT, timeout=3.0) as client:
            client.models()
    except VoicecloneError:
        note(f"something that is not voiceclone listens at {DEFAULT}")
        return ""
    return DEFAULT


def data_directory() -> str:
    """Return where voices are kept when nothing else is said."""
    from voiceclone.voices import default_directory

    return os.fspath(default_directory())

"""``voiceclone serve``: run the server until it is told to stop."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voiceclone.cli.console import key_values, note, say
from voiceclone.cli.server import build_server, data_directory

if TYPE_CHECKING:
    from voiceclone.server.main import Server
    from voiceclone.server.settings import Settings

#: For --load: load nothing before the first request.
_NONE = "none"


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 50051,
    load: Annotated[
        list[str] | None,
        typer.Option(help="Model to load at the start; repeatable. Default: the one used when a request names none."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ... or auto.")] = "auto",
    data: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder of the voices. Default: under VOICECLONE_HOME.")
    ] = None,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="SQLAlchemy URL of the voices' database. Default: SQLite in DATA.")
    ] = None,
    max_active: Annotated[int, typer.Option(min=1, help="Utterances spoken at once.")] = 64,
    max_queued: Annotated[int, typer.Option(min=0, help="Utterances waiting; one more is refused.")] = 256,
    insecure: Annotated[bool, typer.Option("--insecure", help="Allow an address other machines can reach.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another setting; see --settings.")
    ] = None,
    show_settings: Annotated[bool, typer.Option("--settings", help="List all settings and stop.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False,
) -> None:
    """Run the server in the foreground; Ctrl-C lets what is being said finish."""
    if show_settings:
        _show_settings()
        return
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    from voiceclone.engine import Limits
    from voiceclone.plugins import load_plugins
    from voiceclone.server import main

    values = {**key_values(settings or (), "--set"), "host": host, "port": port, "insecure": insecure}
    plugins = load_plugins()
    chosen = _settings({**values, "load": tuple(load) if load else _default_model(plugins)})
    limits = Limits(max_active=max_active, max_queued=max_queued)

    def make() -> Server:
        return build_server(chosen, directory=data, database=database, device=device, limits=limits, plugins=plugins)

    def started(server: Server) -> None:
        _announce(server, str(data or data_directory()))

    note("starting" + (f": loading {', '.join(chosen.load)}" if chosen.load else ""))
    main.serve(make, started)


def _default_model(plugins: object) -> tuple[str, ...]:
    from voiceclone.errors import ModelNotFound
    from voiceclone.models import ModelStore
    from voiceclone.plugins import Plugins
    from voiceclone.registry import Registry

    assert isinstance(plugins, Plugins)
    try:
        return (Registry(plugins, store=ModelStore()).default_model(),)
    except ModelNotFound as error:
        note(str(error))
        return ()


def _settings(values: dict[str, object]) -> Settings:
    """Raises BadParameter, naming the setting, where a value does not fit."""
    from pydantic import ValidationError

    from voiceclone.server.settings import Settings

    if values["load"] == (_NONE,):
        values["load"] = ()
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = ".".join(str(part) for part in wrong["loc"])
        text = wrong["msg"].removeprefix("Value error, ")
        raise typer.BadParameter(f"{name}: {text}" if name else text) from None


def _announce(server: Server, data: str) -> None:
    say(f"voiceclone serves on {server.settings.host}:{server.port}")
    for status in server.catalogue.registry.models():
        where = f" on {status.device}" if status.device else ""
        say(f"  model {status.info.name}: {status.state.value}{where}{f' ({status.error})' if status.error else ''}")
    say(f"  voices in {data}")
    note("Ctrl-C stops it")


def _show_settings() -> None:
    from voiceclone.server.settings import Settings

    for name, field in Settings.model_fields.items():
        say(f"{name}={field.default!r}\n    {field.description}")

"""``voiceclone backends`` and ``plugins``: what is installed, and why something installed cannot be used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voiceclone.cli.console import note, say, show_json, table

if TYPE_CHECKING:
    from voiceclone.backend import BackendStatus
    from voiceclone.plugins import Plugins

_JSON = Annotated[bool, typer.Option("--json", help="For programs.")]


def backends(
    options: Annotated[bool, typer.Option("--options", help="Load each model and show the options it takes.")] = False,
    as_json: _JSON = False,
) -> None:
    """Show the backends: where they come from, under which licence, and what is wrong with those that fail."""
    from voiceclone.plugins import load_plugins

    plugins = load_plugins()
    found = plugins.backends()
    schemas = {status.info.name: _schemas(status, plugins) for status in found if status.info} if options else {}
    if as_json:
        show_json([_as_data(status, schemas) for status in found])
        return
    table(
        ("backend", "version", "plugin", "licence", "models", "devices", "state"),
        [_row(status) for status in found],
        "No backend is installed. The bundled one: pip install ./plugins/fastspeech2",
    )
    for name, models in schemas.items():
        for model, schema in models.items():
            _show_options(f"{name}, model {model}", schema)
    if not options and found:
        note("voiceclone backends --options shows the options each model takes")


def plugins(as_json: _JSON = False) -> None:
    """Show the installed plugins, what they hook into, and what went wrong with them."""
    from voiceclone.plugins import load_plugins

    loaded = load_plugins()
    loaded.backends()
    found = loaded.plugins()
    if as_json:
        keys = ("name", "version", "hooks", "errors")
        show_json([{key: getattr(status, key) for key in keys} for status in found])
        return
    table(
        ("plugin", "version", "hooks", "state"),
        [(item.name, item.version, "\n".join(item.hooks), "\n".join(item.errors) or "ok") for item in found],
        "No plugin is installed.",
    )


def _row(status: BackendStatus) -> tuple[str, ...]:
    info, state = status.info, status.error or "ok"
    if info is None:
        return "-", "", status.plugin, "", "", "", state
    models = "\n".join(model.name for model in info.models)
    return info.name, info.version, status.plugin, info.licence, models, ", ".join(info.devices), state


def _as_data(status: BackendStatus, schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    info = status.info
    data: dict[str, Any] = {"plugin": status.plugin, "error": status.error}
    if info is not None:
        data |= {
            "name": info.name,
            "version": info.version,
            "summary": info.summary,
            "licence": info.licence,
            "models": [model.name for model in info.models],
            "devices": info.devices,
        }
        if info.name in schemas:
            data["options"] = schemas[info.name]
    return data


def _schemas(status: BackendStatus, plugins: Plugins) -> dict[str, Any]:
    """Return model -> JSON Schema of its options, or the text of why it did not load."""
    from voiceclone.errors import VoicecloneError
    from voiceclone.registry import Registry

    registry = Registry(plugins, device="cpu")
    found: dict[str, Any] = {}
    for model in status.info.models if status.info and not status.error else ():
        try:
            registry.load(model.name)
            found[model.name] = json.loads(registry.status(model.name).option_schema)
        except VoicecloneError as error:
            found[model.name] = str(error)
        finally:
            registry.unload(model.name)
    return found


def _show_options(title: str, schema: Any) -> None:
    say(f"\nOptions of {title}:")
    if isinstance(schema, str):
        say(f"  cannot be loaded: {schema}")
        return
    for name, option in schema.get("properties", {}).items():
        default = f" (default {option['default']})" if option.get("default") is not None else ""
        say(f"  {name}{default}: {option.get('description', '')}")
    if not schema.get("properties"):
        say("  none")

"""``voiceclone models``: what there is to speak with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voiceclone.cli.console import Commands, fields, key_values, note, say, show_json, size, table
from voiceclone.cli.server import LOCAL, ServerOption, connected, running

if TYPE_CHECKING:
    from voiceclone.client import Model

app = typer.Typer(cls=Commands, no_args_is_help=True, help="List, load and add models.")
_JSON = Annotated[bool, typer.Option("--json", help="For programs.")]
_Name = Annotated[str, typer.Argument(metavar="MODEL", help="Its name, with or without models/.")]


@app.command("list")
def list_models(server: ServerOption = "", as_json: _JSON = False) -> None:
    """List the models of the server."""
    with connected(server) as client:
        found = client.models()
    if as_json:
        show_json([_as_data(model) for model in found])
        return
    table(
        ("model", "backend", "state", "languages", "rate", "licence", "about"),
        [_row(model) for model in found],
        "There is no model. The bundled one: pip install ./plugins/fastspeech2",
    )


@app.command()
def show(name: _Name, server: ServerOption = "", as_json: _JSON = False) -> None:
    """Show one model: what it can do, and the options it takes (once it has been loaded)."""
    with connected(server) as client:
        model = client.model(name)
    if as_json:
        show_json(_as_data(model))
        return
    able = model.capabilities
    fields([("name", model.name), ("backend", model.backend), ("revision", model.revision), ("about", model.summary),
            ("licence", model.licence), ("state", model.state), ("error", model.error), ("device", model.device),
            ("memory", size(model.memory_bytes))])  # fmt: skip
    if able is None:
        note("what it can do is known once it is loaded: voiceclone models load " + model.name.split("/")[1])
        return
    flags = ("cloning", "streaming", "seed", "speaking_rate", "pitch", "temperature", "phoneme_input", "pronunciations")
    fields([("languages", ", ".join(able.languages)), ("rate", f"{able.sample_rate} Hz"),
            ("timings", ", ".join(kind.value for kind in able.timings)), ("styles", ", ".join(able.styles)),
            ("can", ", ".join(flag for flag in flags if getattr(able, flag))),
            ("longest text", f"{able.max_input_chars} characters")])  # fmt: skip
    for option, schema in dict(model.option_schema.get("properties", {})).items():
        say(f"option {option}: {schema.get('description', '')}")


@app.command()
def load(
    name: _Name,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...; default: the server's choice.")] = "",
    server: ServerOption = "",
) -> None:
    """Bring a model into the memory of the running server."""
    with connected(_running(server)) as client:
        model = client.load_model(name, device=device)
    say(f"{model.name} is {model.state} on {model.device} {size(model.memory_bytes)}".rstrip())


@app.command()
def unload(
    name: _Name,
    force: Annotated[bool, typer.Option("--force", help="Cut off what it is saying instead of waiting.")] = False,
    server: ServerOption = "",
) -> None:
    """Free the memory of a model of the running server."""
    with connected(_running(server)) as client:
        model = client.unload_model(name, force=force)
    say(f"{model.name} is {model.state}")


@app.command()
def add(
    source: Annotated[
        str, typer.Argument(help="A folder or file of weights, which stays where it is; or hf:org/name.")
    ],
    name: Annotated[str, typer.Option(help="What to call it: a-z, 0-9 and -; default: as the source is called.")] = "",
    backend: Annotated[str, typer.Option(help="The backend that speaks it; default: the one that knows it.")] = "",
    summary: Annotated[str, typer.Option(help="A line for listings.")] = "",
    licence: Annotated[str, typer.Option(help="SPDX name of the weights' licence.")] = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting the backend understands.")
    ] = None,
) -> None:
    """Add a model: weights of your own, or of the Hugging Face hub as hf:org/name or hf:org/name@revision.

    Its files are listed with their SHA-256. Pickles are taken only where the backend reads them without running what
    is in them.
    """
    from dataclasses import replace

    from voiceclone.models import ModelStore, located
    from voiceclone.plugins import load_plugins

    found = located(source, load_plugins(), name=name, backend=backend)
    info = replace(
        found.info,
        summary=summary or found.info.summary,
        licence=licence or found.info.licence,
        settings=dict(key_values(settings or (), "--set")),
    )
    record = ModelStore().add(info, found.files)
    say(f"models/{info.name} added for {info.backend}, revision {record.info.revision}, {len(record.files)} files")
    note(info.summary)
    note("a server that runs knows it after its next start")


@app.command()
def verify(name: Annotated[str, typer.Argument(help="A model that was added.")]) -> None:
    """Read every file of an added model again and compare it with what was added."""
    from voiceclone.models import ModelStore

    record = ModelStore().verify(name.removeprefix("models/"))
    say(f"models/{record.info.name} is as it was added ({len(record.files)} files)")


@app.command()
def remove(name: Annotated[str, typer.Argument(help="A model that was added.")]) -> None:
    """Forget an added model; weights in a folder of yours stay there."""
    from voiceclone.models import ModelStore

    ModelStore().remove(name.removeprefix("models/"))
    say(f"models/{name.removeprefix('models/')} removed")


def _running(server: str) -> str:
    """Return an address at which a server outlives this command. Raises ServerUnreachable."""
    found = server if server and server != LOCAL else running()
    if not found:
        from voiceclone.client import ServerUnreachable

        raise ServerUnreachable("No server runs whose memory it could be.", hint="Start one: voiceclone serve")
    return found


def _row(model: Model) -> tuple[str, ...]:
    able = model.capabilities
    state = f"{model.state}: {model.error}" if model.error else model.state
    languages, rate = (", ".join(able.languages), f"{able.sample_rate} Hz") if able else ("", "")
    return model.name, model.backend, state, languages, rate, model.licence, model.summary


def _as_data(model: Model) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(model)

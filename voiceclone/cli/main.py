"""The command ``voiceclone``: its groups, and what plugins add to them."""

from __future__ import annotations

from typing import Annotated

import typer

from voiceclone import __version__
from voiceclone.cli import backends, demo, doctor, models, say, serve, train, voices
from voiceclone.cli.console import Commands, note, set_debug
from voiceclone.plugins import load_plugins


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"voiceclone {__version__}")
        raise typer.Exit


def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Clone voices and speak with them, on your own machine.

    First steps: `voiceclone doctor`, `voiceclone demo`, `voiceclone serve`.
    """
    set_debug(debug)


def build() -> typer.Typer:
    """Return the whole command line, with the commands of the installed plugins."""
    cli = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    cli.callback()(_root)
    cli.command("serve")(serve.serve)
    cli.command("say")(say.say)
    cli.add_typer(voices.app, name="voices")
    cli.add_typer(models.app, name="models")
    cli.command("backends")(backends.backends)
    cli.command("plugins")(backends.plugins)
    cli.add_typer(train.group(), name="train")
    cli.command("demo")(demo.demo)
    cli.command("doctor")(doctor.doctor)
    found = load_plugins()
    found.register_cli(cli)
    for name, reasons in found.errors.items():
        if any("voiceclone_register_cli" in reason for reason in reasons):
            note(f"plugin {name} could not add its commands; see: voiceclone plugins")
    return cli


app = build()

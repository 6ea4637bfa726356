"""``voiceclone train``: the group in which plugins put the training of their models."""

from __future__ import annotations

import typer

from voiceclone.cli.console import Commands


def group() -> typer.Typer:
    """A new group; empty, it tells what would fill it."""
    app = typer.Typer(cls=Commands, help="Train models; the commands come from the installed plugins.")

    @app.callback(invoke_without_command=True)
    def train(context: typer.Context) -> None:
        if context.invoked_subcommand is not None:
            return
        if app.registered_commands or app.registered_groups:
            typer.echo(context.get_help())
            return
        typer.echo("No installed plugin brings a model that can be trained here.")
        typer.echo("voiceclone-fastspeech2, the bundled one, does: pip install ./plugins/fastspeech2")

    return app

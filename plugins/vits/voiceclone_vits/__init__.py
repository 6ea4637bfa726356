"""The VITS backend of voiceclone: checkpoints of every VITS people have, spoken, converted and trained."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone import BackendInfo, Recognised, hookimpl

if TYPE_CHECKING:
    import typer

__version__ = "0.1.0"


@hookimpl
def voiceclone_backends() -> Iterable[BackendInfo]:
    yield BackendInfo(
        name="vits",
        version=__version__,
        summary="VITS, VITS2, MMS-TTS, coqui VITS and YourTTS, and piper checkpoints as they are.",
        factory="voiceclone_vits.model:load",
        licence="Apache-2.0",
        devices=("cuda", "cpu"),
    )


@hookimpl
def voiceclone_recognise(path: Path) -> Recognised | None:
    from voiceclone_vits.recognition import recognise

    return recognise(path)


@hookimpl
def voiceclone_register_cli(cli: typer.Typer) -> None:
    from voiceclone_vits.cli import register

    register(cli)

"""The hooks a plugin may implement: a signature and a sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from voiceclone.backend import API as API
from voiceclone.types import BackendInfo, Recognised

if TYPE_CHECKING:
    import typer

#: Entry-point group and project name of every voiceclone plugin.
GROUP = "voiceclone.plugins"
PROJECT = "voiceclone"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def voiceclone_backends() -> Iterable[BackendInfo]:  # type: ignore[empty-body]
    """Return the backends this plugin brings, as data: import nothing heavy here."""


@hookspec
def voiceclone_recognise(path: Path) -> Recognised | None:
    """Say which backend speaks the weights at ``path`` and which files it reads; None where they are not its own."""


@hookspec(historic=True)
def voiceclone_register_cli(cli: typer.Typer) -> None:
    """Add commands to ``voiceclone``; called once, before arguments are parsed."""


@hookspec
def voiceclone_viseme_map(viseme_set: str) -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Return IPA phoneme -> viseme name for phonemes the built-in table of ``viseme_set`` lacks."""

"""The plugin: what is here is read at discovery, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from voiceclone import BackendInfo, ModelInfo, hookimpl

MODEL = ModelInfo("beep", backend="beep", revision="1", summary="A beep for each letter.", licence="Apache-2.0")


@hookimpl
def voiceclone_backends() -> Iterable[BackendInfo]:
    return [
        BackendInfo(
            name="beep",
            version="0.1.0",
            summary="Beeps.",
            factory="voiceclone_beep.model:load",
            licence="Apache-2.0",
            models=(MODEL,),
            devices=("cpu",),
        )
    ]


@hookimpl
def voiceclone_viseme_map(viseme_set: str) -> Mapping[str, Any]:
    return {"beep": "aa"} if viseme_set == "ovr15" else {}


@hookimpl
def voiceclone_register_cli(cli: Any) -> None:
    @cli.command()
    def beep() -> None:
        """Beep."""
        print("beep")

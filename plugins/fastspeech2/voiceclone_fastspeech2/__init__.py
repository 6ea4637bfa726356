"""The bundled backend of voiceclone: a FastSpeech 2-family acoustic model and an inverse-STFT vocoder clone a voice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone import BackendInfo, ModelInfo, hookimpl

if TYPE_CHECKING:
    import typer

__version__ = "0.1.0"

_WEIGHTS = Path(__file__).parent / "weights"


@hookimpl
def voiceclone_backends() -> Iterable[BackendInfo]:
    models: tuple[ModelInfo, ...] = ()
    if (_WEIGHTS / "model.safetensors").is_file():
        revision = json.loads((_WEIGHTS / "revision.json").read_text(encoding="utf-8"))["revision"]
        models = (
            ModelInfo(
                name="fastspeech2-en",
                backend="fastspeech2",
                revision=revision,
                summary="Small English voice-cloning model, trained on synthetic speech.",
                licence="Apache-2.0",
                path=str(_WEIGHTS),
            ),
        )
    yield BackendInfo(
        name="fastspeech2",
        version=__version__,
        summary="FastSpeech 2-family model with a reference-mel speaker encoder and an inverse-STFT vocoder.",
        factory="voiceclone_fastspeech2.model:load",
        licence="Apache-2.0",
        models=models,
        devices=("cpu",),
    )


@hookimpl
def voiceclone_register_cli(cli: typer.Typer) -> None:
    from voiceclone_fastspeech2.training.cli import register

    register(cli)

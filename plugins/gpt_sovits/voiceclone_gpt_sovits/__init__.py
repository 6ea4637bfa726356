"""The GPT-SoVITS backend of voiceclone: weights of v1 to v4 as they are published and fine-tuned."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from voiceclone import BackendInfo, Recognised, hookimpl

__version__ = "0.1.0"


@hookimpl
def voiceclone_backends() -> Iterable[BackendInfo]:
    yield BackendInfo(
        name="gpt_sovits",
        version=__version__,
        summary="GPT-SoVITS v1, v2 and v2Pro: pairs of weight files as they are.",
        factory="voiceclone_gpt_sovits.model:load",
        licence="Apache-2.0",
        devices=("cuda", "cpu"),
    )


@hookimpl
def voiceclone_recognise(path: Path) -> Recognised | None:
    if not path.is_dir() or not any(path.glob("*.ckpt")) or not any(path.glob("*.pth")):
        return None
    from voiceclone_gpt_sovits.recognition import recognise

    return recognise(path)

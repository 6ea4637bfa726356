"""What ``voiceclone models add`` learns of a folder: whether it is a GPT-SoVITS pair, and which files are read."""

from __future__ import annotations

from pathlib import Path

from voiceclone import Recognised
from voiceclone_gpt_sovits.folder import ModelFolder


def recognise(path: Path) -> Recognised:
    """Reads the weights whole, so that a damaged file is told of now. Raises ModelFilesInvalid."""
    folder = ModelFolder.find(path)
    folder.build_gpt()
    sovits = folder.build_sovits()
    extra = [] if folder.hubert is None else sorted(file for file in folder.hubert.iterdir() if file.is_file())
    files = [folder.gpt, folder.sovits, *extra, *([folder.speaker] if folder.speaker else [])]
    return Recognised(
        "gpt_sovits", tuple(file.relative_to(path).as_posix() for file in files),
        f"GPT-SoVITS {sovits.sizes.version.value}, 32000 Hz.",
    )  # fmt: skip

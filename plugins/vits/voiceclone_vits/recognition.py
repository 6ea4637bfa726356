"""What ``voiceclone models add`` learns of a folder or file: whether it is a VITS, and which of its files are read."""

from __future__ import annotations

from pathlib import Path

from voiceclone import Recognised


def recognise(path: Path) -> Recognised | None:
    """Reads the weights whole, so that a damaged file is told of now. Raises ModelFilesInvalid."""
    # torch is imported only for what may be a VITS.
    if not _worth_a_look(path):
        return None
    from voiceclone_vits.checkpoint import known, read_checkpoint

    if not known(path):
        return None
    checkpoint = read_checkpoint(path)
    config = checkpoint.config
    checkpoint.build()
    voices = f"{len(checkpoint.speakers)} speakers" if len(checkpoint.speakers) > 1 else "one speaker"
    summary = f"VITS of {checkpoint.layout}, {voices}, {config.audio.sample_rate} Hz."
    return Recognised("vits", checkpoint.files, summary)


def _worth_a_look(path: Path) -> bool:
    weights = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".tar")
    files = path.iterdir() if path.is_dir() else [path]
    return any(file.suffix in weights for file in files)

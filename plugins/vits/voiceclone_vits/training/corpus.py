"""What can be trained on: a folder with a manifest, a folder of recordings with texts beside them, or a filelist."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voiceclone.errors import InvalidManifest
from voiceclone.training.manifest import MANIFEST_NAME, read_manifest

Split = Literal["train", "valid"]
_AUDIO = (".wav", ".flac", ".ogg", ".mp3")
#: Without utterances for validation, every so many-th is held out, once there are twice as many.
_HOLD_OUT = 20


@dataclass(frozen=True, slots=True)
class Line:
    """One utterance: a recording, who speaks, what is said; ``phones`` and ``stresses`` where the manifest has them."""

    audio: Path
    speaker: str
    text: str
    split: Split = "train"
    language: str = "en-us"
    phones: tuple[str, ...] | None = None
    stresses: tuple[int, ...] | None = None


def read_corpus(source: Path, valid: Path | None = None, audio_root: Path | None = None) -> list[Line]:
    """Every utterance of ``source``; those of the filelist ``valid`` are for validation.

    Paths in a filelist are relative to ``audio_root``, else to its own folder, else to the working folder. Raises
    InvalidManifest naming the file, the line and what was expected.
    """
    if source.is_dir():
        lines = _manifest(source) if (source / MANIFEST_NAME).is_file() else _folder(source)
    elif source.is_file():
        lines = read_filelist(source, "train", audio_root)
    else:
        raise InvalidManifest(
            f"{source} does not exist.",
            hint=f"Give a folder with {MANIFEST_NAME}, a folder of NAME.wav beside NAME.txt, or a filelist.",
        )
    if valid is not None:
        lines += read_filelist(valid, "valid", audio_root)
    if not lines:
        raise InvalidManifest(f"{source.name} has no utterance.")
    return hold_out(lines)


def _manifest(folder: Path) -> list[Line]:
    return [
        Line(
            folder / item.audio, item.speaker, item.text, "valid" if item.split == "valid" else "train", item.language,
            item.phones, item.stresses,
        )
        for item in read_manifest(folder) if item.split != "test"
    ]  # fmt: skip


def _folder(folder: Path) -> list[Line]:
    """Recordings with a text of the same name beside them; folders below are speakers."""
    lines = []
    for audio in sorted(path for path in folder.rglob("*") if path.suffix.lower() in _AUDIO):
        text = audio.with_suffix(".txt")
        if not text.is_file():
            raise InvalidManifest(
                f"{audio.relative_to(folder)} has no text.",
                hint=f"Put what is said into {text.name} beside it, or write a {MANIFEST_NAME}.",
            )
        speaker = audio.parent.name if audio.parent != folder else "speaker"
        lines.append(Line(audio, speaker, text.read_text("utf-8").strip()))
    return lines


def read_filelist(path: Path, split: Split = "train", audio_root: Path | None = None) -> list[Line]:
    """``audio|text`` or ``audio|speaker|text`` on each line. Raises InvalidManifest."""
    lines = []
    for number, row in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not row.strip():
            continue
        columns = row.split("|")
        if len(columns) not in (2, 3) or not columns[0].strip() or not columns[-1].strip():
            raise InvalidManifest(
                f"{path.name}, line {number}: expected 'audio|text' or 'audio|speaker|text', got {row[:60]!r}."
            )
        speaker = columns[1].strip() if len(columns) == 3 else "speaker"
        lines.append(Line(_find(columns[0].strip(), path.parent, audio_root), speaker, columns[-1].strip(), split))
    return lines


def _find(name: str, beside: Path, audio_root: Path | None) -> Path:
    if audio_root is not None:
        return audio_root / name
    return beside / name if (beside / name).is_file() else Path(name)


def hold_out(lines: list[Line]) -> list[Line]:
    """Turn every twentieth line into validation where a corpus of some size names none."""
    if any(line.split == "valid" for line in lines) or len(lines) < 2 * _HOLD_OUT:
        return lines
    return [
        Line(line.audio, line.speaker, line.text, "valid", line.language, line.phones, line.stresses)
        if index % _HOLD_OUT == _HOLD_OUT - 1 else line
        for index, line in enumerate(lines)
    ]  # fmt: skip


def speakers_of(lines: Iterable[Line]) -> list[str]:
    """The speakers' names: numbers in their order, then the rest by the alphabet."""
    names = {line.speaker for line in lines}
    return sorted(names, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))

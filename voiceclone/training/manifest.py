"""The manifest of a corpus: a folder with `manifest.jsonl`, one utterance a line, beside its audio files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal

from voiceclone.errors import InvalidManifest
from voiceclone.text.phones import PAD, PAUSE, PHONE_IDS, STRESS_COUNT, VOWELS

MANIFEST_NAME: Final = "manifest.jsonl"
PARTIAL_NAME: Final = "manifest.jsonl.partial"

Split = Literal["train", "valid", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "valid", "test")


def _invalid(path: Path, line: int, field: str, expected: str) -> InvalidManifest:
    # The name of the file only: messages may travel to callers, who must not learn the server's paths.
    return InvalidManifest(f"{path.name}, line {line}, field '{field}': expected {expected}")


class _InvalidField(ValueError):
    """One field of one item is wrong; the reader turns it into InvalidManifest, which knows the place."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: expected {expected}")
        self.field, self.expected = field, expected


@dataclass(frozen=True)
class Word:
    """A word of the text and the run of phones that speaks it."""

    text: str
    first_phone: int
    phone_count: int


@dataclass(frozen=True)
class ManifestItem:
    """One utterance. The alignment (`phones`, `stresses`, `ends`) is there as a whole or not at all."""

    id: str
    #: Path of the audio file, relative to the corpus folder, with forward slashes.
    audio: str
    text: str
    #: What a cloning model must tell apart: one voice with one setting.
    speaker: str
    #: What counts as one identity: the voice that `speaker` was made from.
    base: str
    split: Split
    language: str = "en-us"
    #: P ARPABET symbols of the inventory.
    phones: tuple[str, ...] | None = None
    #: P integers: 0 none, 1 primary, 2 secondary on vowels; a value of PAUSE_STRESS on pauses; 0 on consonants.
    stresses: tuple[int, ...] | None = None
    #: P end times in seconds, strictly rising; the last is the duration of the audio.
    ends: tuple[float, ...] | None = None
    words: tuple[Word, ...] | None = None

    @property
    def aligned(self) -> bool:
        """Whether the item carries phones, stresses and ends."""
        return self.phones is not None

    def to_json(self) -> str:
        """The item as one line of a manifest, without the line feed; fields that are None are left out."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        if self.words is not None:
            fields["words"] = [[word.text, word.first_phone, word.phone_count] for word in self.words]
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise _InvalidField(name, f"a non-empty string, got {value!r}")
    return value


def _list(fields: dict[str, Any], name: str, kinds: tuple[type, ...], expected: str) -> list[Any] | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise _InvalidField(name, f"a non-empty list of {expected}, got {type(value).__name__}")
    for index, entry in enumerate(value):
        if not isinstance(entry, kinds) or isinstance(entry, bool):
            raise _InvalidField(name, f"a list of {expected}, got {entry!r} at index {index}")
    return value


def _audio(fields: dict[str, Any]) -> str:
    audio = _text(fields, "audio")
    if audio.startswith("/") or "\\" in audio or ".." in audio.split("/"):
        raise _InvalidField("audio", f"a path inside the corpus folder with forward slashes, got {audio!r}")
    return audio


def _alignment(fields: dict[str, Any]) -> tuple[list[str], list[int], list[float]] | None:
    phones = _list(fields, "phones", (str,), "ARPABET symbols")
    stresses = _list(fields, "stresses", (int,), "integers")
    ends = _list(fields, "ends", (int, float), "seconds")
    present = [value for value in (phones, stresses, ends) if value is not None]
    if not present:
        return None
    if phones is None or stresses is None or ends is None:
        missing = [name for name in ("phones", "stresses", "ends") if fields.get(name) is None]
        raise _InvalidField(missing[0], "phones, stresses and ends together or none of them")
    for name, values in (("stresses", stresses), ("ends", ends)):
        if len(values) != len(phones):
            raise _InvalidField(name, f"as many entries as phones ({len(phones)}), got {len(values)}")
    for phone, stress in zip(phones, stresses, strict=True):
        if phone not in PHONE_IDS or phone == PAD:
            raise _InvalidField("phones", f"symbols of the phone inventory, got {phone!r}")
        limit = STRESS_COUNT if phone == PAUSE else 3 if phone in VOWELS else 1
        if not 0 <= stress < limit:
            raise _InvalidField("stresses", f"0..{limit - 1} on {phone!r}, got {stress}")
    previous = 0.0
    for end in ends:
        if not math.isfinite(end) or end <= previous:
            raise _InvalidField("ends", f"strictly rising finite seconds above 0, got {end} after {previous}")
        previous = end
    return phones, stresses, [float(end) for end in ends]


def _words(fields: dict[str, Any], phone_count: int) -> tuple[Word, ...] | None:
    entries = _list(fields, "words", (list,), "[text, first_phone, phone_count]")
    if entries is None:
        return None
    words = []
    for entry in entries:
        if len(entry) != 3 or not isinstance(entry[0], str) or not all(type(part) is int for part in entry[1:]):
            raise _InvalidField("words", f"entries [text, first_phone, phone_count], got {entry!r}")
        word = Word(*entry)
        if word.first_phone < 0 or word.phone_count < 1 or word.first_phone + word.phone_count > phone_count:
            raise _InvalidField("words", f"a run inside the {phone_count} phones, got {entry!r}")
        words.append(word)
    return tuple(words)


def parse_item(fields: object) -> ManifestItem:
    """The item in the decoded JSON object of one line. Raises ValueError naming the field and what was expected."""
    if not isinstance(fields, dict):
        raise _InvalidField("line", f"a JSON object, got {type(fields).__name__}")
    unknown = sorted(set(fields) - set(ManifestItem.__dataclass_fields__))
    if unknown:
        raise _InvalidField(unknown[0], "no such field; known: " + ", ".join(ManifestItem.__dataclass_fields__))
    split = _text(fields, "split")
    if split not in SPLITS:
        raise _InvalidField("split", f"one of {', '.join(SPLITS)}, got {split!r}")
    alignment = _alignment(fields)
    return ManifestItem(
        id=_text(fields, "id"),
        audio=_audio(fields),
        text=_text(fields, "text"),
        speaker=_text(fields, "speaker"),
        base=_text(fields, "base"),
        split=split,
        language=_text(fields, "language"),
        phones=tuple(alignment[0]) if alignment else None,
        stresses=tuple(alignment[1]) if alignment else None,
        ends=tuple(alignment[2]) if alignment else None,
        words=_words(fields, len(alignment[0]) if alignment else 0),
    )


def _read_lines(path: Path, torn_end: bool) -> Iterator[ManifestItem]:
    """Items of one file. With `torn_end` a last line without its line feed is dropped: a writer died inside it."""
    seen: set[str] = set()
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if torn_end and not line.endswith("\n"):
                return
            if not line.strip():
                continue
            try:
                item = parse_item(json.loads(line))
            except json.JSONDecodeError as error:
                raise _invalid(path, number, "line", f"a JSON object ({error})") from error
            except _InvalidField as error:
                raise _invalid(path, number, error.field, error.expected) from error
            if item.id in seen:
                raise _invalid(path, number, "id", f"an id of its own, {item.id!r} was used above")
            seen.add(item.id)
            yield item


def read_manifest(folder: str | Path) -> list[ManifestItem]:
    """Every item of the corpus in `folder`, in file order; the audio files are not opened.

    Raises InvalidManifest on the first line that breaks the format, FileNotFoundError without a manifest.
    """
    path = Path(folder) / MANIFEST_NAME
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: a corpus folder holds {MANIFEST_NAME} beside its audio files")
    return list(_read_lines(path, torn_end=False))


class ManifestWriter:
    """Appends items to `manifest.jsonl.partial`; `finish` turns it into `manifest.jsonl` in one step.

    An interrupted run is taken up again by opening the same folder: items of the partial file and of a
    finished manifest count as written, and writing them again does nothing. A context manager that leaves the
    partial file in place; only `finish` ends the corpus.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._partial = self._folder / PARTIAL_NAME
        self._items: dict[str, ManifestItem] = {}
        for path, torn_end in ((self._folder / MANIFEST_NAME, False), (self._partial, True)):
            if path.is_file():
                self._items.update((item.id, item) for item in _read_lines(path, torn_end))
        # Rewritten rather than opened for appending: this drops a torn last line.
        self._write_all(self._partial)
        self._file = self._partial.open("a", encoding="utf-8")

    def _write_all(self, path: Path) -> None:
        temporary = path.with_name(path.name + ".tmp")
        with temporary.open("w", encoding="utf-8") as file:
            for _, item in sorted(self._items.items()):
                file.write(item.to_json() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)

    @property
    def items(self) -> list[ManifestItem]:
        """The items written so far, sorted by id."""
        return [item for _, item in sorted(self._items.items())]

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    def write(self, item: ManifestItem) -> None:
        """Appends `item` unless its id was written before. Raises ValueError on an item that breaks the format."""
        if item.id in self._items:
            return
        line = item.to_json()
        parse_item(json.loads(line))
        self._file.write(line + "\n")
        self._file.flush()
        self._items[item.id] = item

    def finish(self) -> Path:
        """Writes `manifest.jsonl`, sorted by id, removes the partial file and returns the path of the manifest."""
        self._file.close()
        path = self._folder / MANIFEST_NAME
        self._write_all(path)
        self._partial.unlink(missing_ok=True)
        return path

    def __enter__(self) -> ManifestWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

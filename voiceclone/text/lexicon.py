"""The pronunciation dictionary and the learned model for words outside it: gruut's English data, read directly."""

from __future__ import annotations

import base64
import sqlite3
import threading
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from voiceclone.text.ipa import phones_of_segments
from voiceclone.text.types import Phone

#: The learned model sees at most this many letters at once: its cost and its sense end about there.
MAX_LETTERS: Final = 40
_SEPARATOR: Final = "\t"


class Entry(NamedTuple):
    """One pronunciation of a word; ``role`` is the part of speech it belongs to, empty for any."""

    role: str
    phones: tuple[Phone, ...]


class Lexicon:
    """English pronunciations; every method may be called from any thread.

    The dictionary (125,000 words) is read into memory once, about 0.3 s: the file has no index, and SQLite connections
    belong to threads.
    """

    def __init__(self, folder: Path) -> None:
        self._entries = _read_entries(folder / "lexicon.db")
        self._guesser = _Tagger(folder / "g2p" / "model.crf")
        self._parser = _Tagger(folder / "pos" / "model.crf")

    def __contains__(self, word: str) -> bool:
        return word in self._entries

    @lru_cache(maxsize=8192)  # noqa: B019 - one lexicon lives as long as the process
    def entries(self, word: str) -> tuple[Entry, ...]:
        """Pronunciations of the lower-case ``word``, the usual one first; empty for an unknown word."""
        found: list[Entry] = []
        for line in self._entries.get(word, "").splitlines():
            role, _, segments = line.partition(_SEPARATOR)
            found.append(Entry(role, phones_of_segments(segments.split())))
        return tuple(found)

    @lru_cache(maxsize=8192)  # noqa: B019
    def guess(self, word: str) -> tuple[Phone, ...]:
        """Phones that the learned model gives the lower-case ``word``; empty when it has no letter a-z."""
        letters = "".join(char for char in word if char.isascii() and (char.isalpha() or char == "'"))
        segments: list[str] = []
        for begin in range(0, len(letters), MAX_LETTERS):
            for label in self._guesser.tag(_letter_features(letters[begin : begin + MAX_LETTERS])):
                segments.extend(part for part in _decoded(label).split("|") if part != "_")
        return phones_of_segments(segments)

    def parts_of_speech(self, words: Sequence[str]) -> list[str]:
        """Penn Treebank tag of each word of a sentence."""
        return self._parser.tag(_word_features(words)) if words else []


class _Tagger:
    """A conditional random field read from a file at its first use; one call at a time, as the library wants it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tagger: Any = None
        self._lock = threading.Lock()

    def tag(self, features: list[dict[str, Any]]) -> list[str]:
        with self._lock:
            if self._tagger is None:
                import pycrfsuite  # type: ignore[import-untyped]

                self._tagger = pycrfsuite.Tagger()
                self._tagger.open(str(self._path))
            return list(self._tagger.tag(features))


_load_lock = threading.Lock()


def english() -> Lexicon:
    """The process's English lexicon, loaded at the first call."""
    with _load_lock:
        return _english()


@cache
def _english() -> Lexicon:
    import gruut_lang_en  # type: ignore[import-untyped]

    return Lexicon(Path(gruut_lang_en.get_lang_dir()))


def _read_entries(path: Path) -> dict[str, str]:
    """word -> lines "role TAB segments", best first; one string a word keeps the table small."""
    entries: dict[str, str] = {}
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        rows = connection.execute("SELECT word, role, phonemes FROM word_phonemes ORDER BY id")
        for word, role, phonemes in rows:
            line = f"{role.removeprefix('gruut:')}{_SEPARATOR}{phonemes}"
            entries[word] = f"{entries[word]}\n{line}" if word in entries else line
    finally:
        connection.close()
    return entries


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


@lru_cache(maxsize=1024)
def _decoded(label: str) -> str:
    return base64.b64decode(label).decode()


def _letter_features(letters: str) -> list[dict[str, Any]]:
    """What the g2p model was trained on: each letter with up to three neighbours on either side."""
    codes = [_encoded(letter) for letter in letters]
    features: list[dict[str, Any]] = []
    for index, code in enumerate(codes):
        feature: dict[str, Any] = {"bias": 1.0, "grapheme": code}
        for distance in (1, 2, 3):
            if index >= distance:
                feature[f"grapheme-{distance}"] = codes[index - distance]
            if index + distance < len(codes):
                feature[f"grapheme+{distance}"] = codes[index + distance]
        if index == 0:
            feature["begin"] = True
        if index == len(codes) - 1:
            feature["end"] = True
        features.append(feature)
    return features


def _word_features(words: Sequence[str]) -> list[dict[str, Any]]:
    """What the part-of-speech model was trained on: each word's shape and those of two neighbours on either side."""
    shapes = [
        {
            "bias": 1.0,
            "word": _encoded(word),
            "len(word)": len(word),
            "word.ispunctuation": word in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
            "word.isdigit()": word.isdigit(),
            "word[:2]": word[:2],
            "word[:3]": word[:3],
            "word[-2:]": word[-2:],
            "word[-3:]": word[-3:],
        }
        for word in words
    ]
    features: list[dict[str, Any]] = []
    for index, shape in enumerate(shapes):
        feature: dict[str, Any] = dict(shape)
        if index == 0:
            feature["BOS"] = True
        if index == len(shapes) - 1:
            feature["EOS"] = True
        for distance in (1, 2):
            if index >= distance:
                feature.update({f"-{distance}:{key}": value for key, value in shapes[index - distance].items()})
            if index + distance < len(shapes):
                feature.update({f"+{distance}:{key}": value for key, value in shapes[index + distance].items()})
        features.append(feature)
    return features

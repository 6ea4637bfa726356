"""Phones of English words in a sentence: dictionary, heteronyms, weak forms, endings, compounds, a learned guess."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from voiceclone.text.lexicon import Entry, Lexicon
from voiceclone.text.phones import VOWELS
from voiceclone.text.reading import Kind, Piece
from voiceclone.text.types import Phone
from voiceclone.text.usual import LETTERS, USUAL, phones
from voiceclone.text.wordlists import VERB_FOLLOWS

#: Endings after an apostrophe, where the dictionary lacks the whole word.
_CONTRACTED: Final = {"ll": "ax l", "ve": "ax v", "d": "d", "re": "r", "m": "m", "t": "t", "em": "ax m"}
_HISSING: Final = frozenset(("s", "z", "sh", "zh", "ch", "jh"))
_VOICELESS: Final = frozenset(("p", "t", "k", "f", "th"))
_REPEATS: Final = re.compile(r"([a-z])\1{2,}")
_MIN_PART: Final = 3

#: Penn tag -> roles of the dictionary it may mean, best first.
_ROLES: Final = {
    "VBD": ("VBD", "VB"), "VBN": ("VBD", "JJ", "VB"), "VB": ("VB",), "VBP": ("VB",), "VBZ": ("VB",), "VBG": ("VB",),
    "MD": ("VB",), "NN": ("NN",), "NNS": ("NN",), "NNP": ("NN",), "NNPS": ("NN",), "JJ": ("JJ", "NN"),
    "JJR": ("JJ",), "JJS": ("JJ",), "RB": ("RB", "JJ"), "IN": ("IN", "JJ"), "CD": ("CD", "NN"), "UH": ("VB",),
    "RP": ("RB", "JJ"), "PRP": ("PRP",), "DT": ("DT",),
}  # fmt: skip


class Pronouncer:
    """Phones of the pieces of a sentence; safe to call from any thread."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon

    def known(self, word: str) -> bool:
        """Whether the lower-case ``word`` has a pronunciation that nobody had to guess."""
        return word in USUAL or word in self._lexicon

    def pronounce(self, pieces: Sequence[Piece]) -> list[tuple[Phone, ...]]:
        """Phones of each piece; empty for breaks and for words that cannot be said."""
        entries = [self._lexicon.entries(piece.text) if piece.kind is Kind.WORD else () for piece in pieces]
        tags = self._tags(pieces, entries)
        said: list[tuple[Phone, ...]] = []
        for index, piece in enumerate(pieces):
            if piece.kind is Kind.BREAK:
                said.append(())
            elif piece.phones:
                said.append(piece.phones)
            elif piece.kind is Kind.LETTER:
                said.append(letter(piece.text))
            elif tags and _ambiguous(entries[index]):
                said.append(_by_role(entries[index], tags[index]))
            else:
                said.append(self.word(piece.text))
        return _linked(pieces, said)

    @lru_cache(maxsize=8192)  # noqa: B019 - one pronouncer lives as long as its frontend
    def word(self, word: str) -> tuple[Phone, ...]:
        """Phones of the lower-case ``word`` by itself; empty when no letter of it can be said."""
        if word in USUAL:
            return USUAL[word]
        entries = self._lexicon.entries(word)
        if entries:
            return entries[0].phones
        return (
            self._contracted(word)
            or self._shortened(word)
            or self._compound(word)
            or _stressed(self._lexicon.guess(word))
        )

    def _contracted(self, word: str) -> tuple[Phone, ...]:
        base, apostrophe, ending = word.rpartition("'")
        if not apostrophe or not base:
            return ()
        if ending in ("s", ""):
            return sibilant(self.word(base), ending)
        if base.endswith("n") and ending == "t" and self.known(base[:-1]):
            return self.word(base[:-1]) + phones("ax n t")
        if ending in _CONTRACTED:
            said = self.word(base)
            glide = said and said[-1].symbol in VOWELS
            return said + (phones(_CONTRACTED[ending].removeprefix("ax ")) if glide else phones(_CONTRACTED[ending]))
        return ()

    def _shortened(self, word: str) -> tuple[Phone, ...]:
        """ "sooooo" is "so", "cooool" is "cool"."""
        if not _REPEATS.search(word):
            return ()
        for keep in (r"\1\1", r"\1"):
            shorter = _REPEATS.sub(keep, word)
            if self.known(shorter):
                return self.word(shorter)
        return self.word(_REPEATS.sub(r"\1\1", word))

    def _compound(self, word: str) -> tuple[Phone, ...]:
        """Two dictionary words written as one; the most even split, the second part with secondary stress."""
        if not 2 * _MIN_PART <= len(word) <= 24:
            return ()
        cuts = range(_MIN_PART, len(word) - _MIN_PART + 1)
        for cut in sorted(cuts, key=lambda cut: abs(2 * cut - len(word))):
            first, second = word[:cut], word[cut:]
            if first in self._lexicon and second in self._lexicon:
                return self.word(first) + tuple(Phone(p.symbol, 2 if p.stress else 0) for p in self.word(second))
        return ()

    def _tags(self, pieces: Sequence[Piece], entries: Sequence[tuple[Entry, ...]]) -> list[str]:
        """Part of speech of each piece; empty where no word needs it, for the tagger costs more than all the rest."""
        if not any(_ambiguous(found) for found in entries):
            return []
        words = [piece.text.upper() if piece.text == "i" else piece.text for piece in pieces]
        tags = self._lexicon.parts_of_speech(words)
        for index in range(1, len(tags)):
            if words[index - 1] in VERB_FOLLOWS and tags[index].startswith("NN"):
                tags[index] = "VB"
        return tags


def letter(text: str) -> tuple[Phone, ...]:
    """The name of a letter, or of several ("b's"); empty for a letter without an English name."""
    name = LETTERS.get(text[:1], ())
    return sibilant(name, "s") if text.endswith("'s") and name else name


def sibilant(said: tuple[Phone, ...], ending: str) -> tuple[Phone, ...]:
    """A word with its plural or possessive ending: z, s or ax z, as its last phone asks; none for a bare apostrophe."""
    if not said or not ending:
        return said
    last = said[-1].symbol
    return said + phones("ax z" if last in _HISSING else "s" if last in _VOICELESS else "z")


def _ambiguous(entries: tuple[Entry, ...]) -> bool:
    return len(entries) > 1 and len({entry.role for entry in entries if entry.role not in ("", "DT", "letter")}) > 1


def _by_role(entries: tuple[Entry, ...], tag: str) -> tuple[Phone, ...]:
    for role in _ROLES.get(tag, ()):
        for entry in entries:
            if entry.role == role:
                return entry.phones
    return entries[0].phones


def _stressed(said: tuple[Phone, ...]) -> tuple[Phone, ...]:
    """``said`` with a primary stress on its first full vowel where a guess has none."""
    if any(phone.stress == 1 for phone in said):
        return said
    for weak in (("ax",), ()):
        for index, phone in enumerate(said):
            if phone.symbol in VOWELS and phone.symbol not in weak:
                return (*said[:index], Phone(phone.symbol, 1), *said[index + 1 :])
    return said


def _linked(pieces: Sequence[Piece], said: list[tuple[Phone, ...]]) -> list[tuple[Phone, ...]]:
    """Weak forms that hang on the next word: "the" before a vowel, "to" before a pause."""
    for index, piece in enumerate(pieces):
        if piece.kind is not Kind.WORD or piece.phones or piece.text not in ("the", "to"):
            continue
        following = said[index + 1] if index + 1 < len(said) else ()
        if piece.text == "the" and following and following[0].symbol in VOWELS:
            said[index] = phones("dh iy")
        elif piece.text == "to" and not following:
            said[index] = phones("t uw1")
    return said

"""A reading: the pieces, words and breaks, that a stretch of written text is spoken as."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias

from voiceclone.text.types import Phone


class Kind(Enum):
    """What a piece is."""

    WORD = "word"
    #: A letter said by its name; tells the letter "a" from the article.
    LETTER = "letter"
    #: A pause; the text is its punctuation mark.
    BREAK = "break"


class Piece(NamedTuple):
    """One spoken word, letter or pause, made by the folded characters ``[begin, end)``."""

    text: str
    begin: int
    end: int
    kind: Kind = Kind.WORD
    #: How a user wants it said; empty to ask the dictionary.
    phones: tuple[Phone, ...] = ()


@dataclass(slots=True)
class Context:
    """What a reader may look at: the folded text, the end of the sentence in it, and the pieces read so far."""

    text: str
    end: int
    #: Most words of the sentence are in capitals, so capitals say nothing.
    shouting: bool = False
    pieces: list[Piece] = field(default_factory=list)

    def previous_word(self) -> str:
        """The word just read, as it was written; empty after a pause and at the start."""
        if not self.pieces or self.pieces[-1].kind is Kind.BREAK:
            return ""
        return self.text[self.pieces[-1].begin : self.pieces[-1].end]

    def following(self, position: int, length: int = 24) -> str:
        """At most ``length`` characters of the sentence from ``position``."""
        return self.text[position : min(position + length, self.end)]


#: Reads one match; None hands it to the next reader.
Read: TypeAlias = Callable[[re.Match[str], Context], list[Piece] | None]
#: A pattern tried where a token begins, and how its match is read.
Reader: TypeAlias = tuple[re.Pattern[str], Read]


def say(words: str, begin: int, end: int) -> list[Piece]:
    """Pieces of the space-separated ``words``, all made by ``[begin, end)``; "," is a short pause."""
    return [Piece(word, begin, end, Kind.BREAK if word == "," else Kind.WORD) for word in words.split()]


def say_match(words: str, match: re.Match[str], group: int | str = 0) -> list[Piece]:
    """:func:`say` over one group of a match."""
    return say(words, match.start(group), match.end(group))


def spell(letters: str, begin: int) -> list[Piece]:
    """Each letter by its name, each made by its own character from ``begin`` on; other characters are skipped."""
    return [
        Piece(char.lower(), begin + index, begin + index + 1, Kind.LETTER)
        for index, char in enumerate(letters)
        if char.isalpha()
    ]

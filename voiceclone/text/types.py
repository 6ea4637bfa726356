"""What a text frontend hands on: sentences of words of phones, each tied to the characters that made it."""

from __future__ import annotations

from dataclasses import dataclass

from voiceclone.text.phones import PAUSE, ipa_label
from voiceclone.types import TextSpan


@dataclass(frozen=True, slots=True)
class Phone:
    """One phone: an inventory symbol and its stress (0 none, 1 primary, 2 secondary; for ``pau`` the boundary kind)."""

    symbol: str
    stress: int = 0

    @property
    def ipa(self) -> str:
        """IPA label for timing events; empty for silence."""
        return ipa_label(self.symbol)


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word or one pause.

    ``text`` is the word as it is spoken (lower case), or the punctuation mark of a pause (empty at a sentence's start).
    ``span`` covers the characters that made it: all words of "three dollars fifty" carry the span of ``$3.50``.
    """

    text: str
    span: TextSpan
    phones: tuple[Phone, ...]
    is_pause: bool = False


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence; its first and last words are pauses and at least one word between them is spoken."""

    span: TextSpan
    normalized_text: str
    words: tuple[Word, ...]

    @property
    def phones(self) -> tuple[Phone, ...]:
        """Every phone of the sentence in order, pauses included."""
        return tuple(phone for word in self.words for phone in word.phones)


def pause(mark: str, stress: int, span: TextSpan) -> Word:
    """A pause word made by the punctuation ``mark`` at ``span``."""
    return Word(mark, span, (Phone(PAUSE, stress),), is_pause=True)

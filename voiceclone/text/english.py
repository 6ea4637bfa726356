"""The English frontend: text as it was sent to sentences of words of phones, each with the characters that made it."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from voiceclone.text.folding import Folded, fold
from voiceclone.text.lexicon import english
from voiceclone.text.phonemes import spoken_phones
from voiceclone.text.phones import PAUSE_STRESS
from voiceclone.text.pronounce import Pronouncer
from voiceclone.text.reading import Context, Kind, Piece, Reader
from voiceclone.text.sentences import MAX_CHARS, split_sentences
from voiceclone.text.tokens import Scanner
from voiceclone.text.types import Phone, Sentence, Word, pause
from voiceclone.types import Pronunciation, TextSpan

#: Pauses of marks that the phone inventory does not list.
_MARKS: Final = {**PAUSE_STRESS, "…": PAUSE_STRESS[","]}
_FINAL: Final = (".", "!", "?")


class EnglishFrontend:
    """Reads English. The dictionary loads at the first call, once a process; calls may come from any thread."""

    def __init__(self, max_sentence_chars: int = MAX_CHARS) -> None:
        self._max_chars = max_sentence_chars
        self._lock = threading.Lock()
        self._parts: tuple[Scanner, Pronouncer] | None = None

    def warm_up(self) -> None:
        """Load the dictionary and the models now (about 0.5 s), so that the first sentence does not wait for them."""
        self.analyse("The warm record was read, xylowarmup.")

    def analyse(self, text: str, pronunciations: Sequence[Pronunciation] = ()) -> list[Sentence]:
        """Sentences of ``text``; none when nothing in it can be spoken in English (the caller decides).

        Every phrase of ``pronunciations`` is said as given wherever it stands as whole words, whatever its case; the
        longest phrase wins. Raises :class:`InvalidPhonemes` on a pronunciation that cannot be parsed, nothing else.
        """
        scanner, pronouncer = self._loaded()
        first = _user_readers(tuple(pronunciations))
        folded = fold(text)
        sentences: list[Sentence] = []
        for span in split_sentences(folded.text, self._max_chars):
            pieces = scanner.scan(folded.text, span.begin, span.end, first)
            said = pronouncer.pronounce(pieces)
            sentence = _sentence(folded, span, pieces, said)
            if sentence is not None:
                sentences.append(sentence)
        return sentences

    def _loaded(self) -> tuple[Scanner, Pronouncer]:
        with self._lock:
            if self._parts is None:
                pronouncer = Pronouncer(english())
                self._parts = (Scanner(pronouncer.known), pronouncer)
            return self._parts


@lru_cache(maxsize=64)
def _user_readers(pronunciations: tuple[Pronunciation, ...]) -> tuple[Reader, ...]:
    """A reader of the user's phrases, longest first, as whole words in any case. Raises :class:`InvalidPhonemes`."""
    said: dict[str, tuple[Phone, ...]] = {}
    for item in pronunciations:
        phrase = " ".join(fold(item.phrase).text.lower().split())
        phones = spoken_phones(item.value, item.alphabet)
        if phrase:
            said[phrase] = phones
    if not said:
        return ()
    phrases = (re.escape(phrase).replace(r"\ ", r"\s+") for phrase in sorted(said, key=len, reverse=True))
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(phrases)})(?!\w)", re.IGNORECASE)

    def read(match: re.Match[str], _: Context) -> list[Piece] | None:
        phrase = " ".join(match[0].lower().split())
        return [Piece(phrase, match.start(), match.end(), phones=said[phrase])] if phrase in said else None

    return ((pattern, read),)


def _sentence(
    folded: Folded, stretch: TextSpan, pieces: Sequence[Piece], said: Sequence[tuple[Phone, ...]]
) -> Sentence | None:
    """The sentence made of ``pieces`` with their phones, or None when none of them is spoken."""
    span = folded.span(stretch.begin, stretch.end)
    words: list[Word] = [pause("", _MARKS[""], TextSpan(span.begin, span.begin))]
    for piece, phones in zip(pieces, said, strict=True):
        where = folded.span(piece.begin, piece.end)
        if piece.kind is Kind.BREAK:
            if words[-1].is_pause:
                if len(words) > 1:
                    words[-1] = _merged(words[-1], piece.text, where)
            else:
                words.append(pause(piece.text, _MARKS[piece.text], where))
        elif phones:
            words.append(Word(piece.text, where, phones))
    if all(word.is_pause for word in words):
        return None
    last = words.pop() if words[-1].is_pause else pause(".", 2, TextSpan(span.end, span.end))
    mark = last.text if last.text in _FINAL else "."
    words.append(pause(mark, _MARKS[mark], last.span))
    return Sentence(span, _normalized(words), tuple(words))


def _merged(word: Word, mark: str, where: TextSpan) -> Word:
    """Two pauses in a row as one: the stronger mark over both stretches."""
    kept = mark if _MARKS[mark] > _MARKS[word.text] else word.text
    return pause(kept, _MARKS[kept], TextSpan(word.span.begin, where.end))


def _normalized(words: Sequence[Word]) -> str:
    """The words as spoken, marks attached to the word before them."""
    text = ""
    for word in words:
        if word.is_pause:
            text += f" {word.text}" if word.text == "-" else word.text
        else:
            text += f" {word.text}" if text else word.text
    return text

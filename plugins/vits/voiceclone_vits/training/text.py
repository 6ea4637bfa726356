"""Texts of a corpus to token ids: as they stand, read as English, or from the phones of a manifest.

What is read is spelled as it will be spelled when the trained model speaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from voiceclone.errors import InvalidRequest
from voiceclone.text.english import EnglishFrontend
from voiceclone.text.phones import PAUSE
from voiceclone.text.types import Phone, Word, pause
from voiceclone.types import TextSpan
from voiceclone_vits.espeak_ipa import spell
from voiceclone_vits.symbols import Alphabet, SymbolTable
from voiceclone_vits.training.corpus import Line

TextMode = Literal["auto", "symbols", "english", "phones"]
MODES: tuple[TextMode, ...] = ("auto", "symbols", "english", "phones")
#: Punctuation of a pause, by the stress value that a manifest gives it.
_MARKS = {0: "", 1: ",", 2: ".", 3: "!", 4: "?"}
_NOWHERE = TextSpan(0, 0)


class LineReader:
    """Token ids of lines, all read in one way.

    "symbols": the text is written in the model's symbols, like a cleaned filelist. "english": the text is English as
    people write it. "phones": the manifest says what is spoken, and the model's symbols are IPA. "auto": phones
    where every line has them; else as it stands where letters beyond ASCII are symbols, or where ``languages`` have no
    English; else English.
    """

    def __init__(
        self, symbols: SymbolTable, mode: TextMode, lines: Sequence[Line], languages: Sequence[str] = ()
    ) -> None:
        if mode not in MODES:
            raise InvalidRequest(f"text must be one of {', '.join(MODES)}, got {mode!r}.", field="text")
        if not symbols.ids:
            raise InvalidRequest(
                "the checkpoint does not say which symbols its tokens stand for.",
                field="from",
                hint='Put the list of symbols into its config.json as "symbols".',
            )
        self.symbols = symbols
        self.mode = _guess(symbols, lines, languages) if mode == "auto" else mode

    def __call__(self, line: Line) -> list[int]:
        if self.mode == "symbols":
            return self._written(line.text)
        if self.mode == "phones":
            return self._spoken([_words(line)])
        sentences = [sentence.words for sentence in _frontend().analyse(line.text)]
        if self.symbols.alphabet is Alphabet.LETTERS:
            return self._written(" ".join(map(_said, sentences)))
        return self._spoken(sentences)

    def _written(self, text: str) -> list[int]:
        return self.symbols.encode(self.symbols.split(self.symbols.fold(text))).ids

    def _spoken(self, sentences: Sequence[Sequence[Word]]) -> list[int]:
        symbols: list[tuple[str, int]] = []
        for words in sentences:
            if symbols and " " in self.symbols.ids:
                symbols.append((" ", 0))
            symbols += spell(words, self.symbols.ids.__contains__)
        return self.symbols.encode(symbols).ids


def _guess(symbols: SymbolTable, lines: Sequence[Line], languages: Sequence[str]) -> TextMode:
    codes = {language.replace("_", "-").split("-")[0].lower() for language in languages}
    if codes and not codes & {"en", "eng"}:
        return "symbols"
    if symbols.alphabet is not Alphabet.LETTERS:
        if all(line.phones is not None for line in lines):
            return "phones"
        written = {letter for line in lines[:100] for letter in line.text}
        if any(not letter.isascii() and letter in symbols.ids for letter in written):
            return "symbols"
    return "english"


def _said(words: Sequence[Word]) -> str:
    """The words as they are spoken, in letters, punctuation after them."""
    written = ""
    for word in words:
        written += word.text if word.is_pause or not written else f" {word.text}"
    return written


def _words(line: Line) -> list[Word]:
    """The words of a manifest's phones. Raises InvalidRequest where it has none."""
    if line.phones is None or line.stresses is None:
        raise InvalidRequest(
            f"{line.audio.name} has no phones.", field="text", hint="Choose --text english or --text symbols."
        )
    words: list[Word] = []
    starts = set(line.word_starts)
    for index, (symbol, stress) in enumerate(zip(line.phones, line.stresses, strict=True)):
        if symbol == PAUSE:
            words.append(pause(_MARKS[stress] if words else "", stress, _NOWHERE))
        elif index in starts or not words or words[-1].is_pause:
            words.append(Word("", _NOWHERE, (Phone(symbol, stress),)))
        else:
            words[-1] = Word("", _NOWHERE, (*words[-1].phones, Phone(symbol, stress)))
    return words


@cache
def _frontend() -> EnglishFrontend:
    return EnglishFrontend()

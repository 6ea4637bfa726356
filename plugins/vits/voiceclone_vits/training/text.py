"""Texts of a corpus to token ids: as they stand, read as English, or from the phones of a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Literal

from voiceclone.errors import InvalidRequest
from voiceclone.text.english import EnglishFrontend
from voiceclone.text.phones import ARPABET_TO_IPA, PAUSE
from voiceclone_vits.symbols import Alphabet, SymbolTable
from voiceclone_vits.training.corpus import Line

TextMode = Literal["auto", "symbols", "english", "phones"]
MODES: tuple[TextMode, ...] = ("auto", "symbols", "english", "phones")
_STRESS = {1: "\u02c8", 2: "\u02cc"}
#: Punctuation of a pause, by the stress value that a manifest gives it.
_MARKS = {0: "", 1: ",", 2: ".", 3: "!", 4: "?"}


class LineReader:
    """Token ids of lines, all read in one way.

    "symbols": the text is written in the model's symbols, like a cleaned filelist. "english": the text is English, and
    the model's symbols are IPA. "phones": the manifest says which phones are spoken. "auto": letters and IPA as they
    stand, else phones where there are any, else English.
    """

    def __init__(self, symbols: SymbolTable, mode: TextMode, lines: Sequence[Line]) -> None:
        if mode not in MODES:
            raise InvalidRequest(f"text must be one of {', '.join(MODES)}, got {mode!r}.", field="text")
        if not symbols.ids:
            raise InvalidRequest(
                "the checkpoint does not say which symbols its tokens stand for.",
                field="from",
                hint='Put the list of symbols into its config.json as "symbols".',
            )
        self.symbols = symbols
        self.mode = _guess(symbols, lines) if mode == "auto" else mode

    def __call__(self, line: Line) -> list[int]:
        if self.mode == "symbols":
            return self.symbols.encode(self.symbols.split(line.text)).ids
        ipa = _from_phones(line) if self.mode == "phones" else _english(line.text)
        return self.symbols.encode([(letter, 0) for letter in ipa]).ids


def _guess(symbols: SymbolTable, lines: Sequence[Line]) -> TextMode:
    if symbols.alphabet is Alphabet.LETTERS:
        return "symbols"
    if all(line.phones is not None for line in lines):
        return "phones"
    written = "".join(line.text for line in lines[:100])
    return "symbols" if any(not letter.isascii() and letter in symbols.ids for letter in written) else "english"


def _from_phones(line: Line) -> str:
    if line.phones is None or line.stresses is None:
        raise InvalidRequest(
            f"{line.audio.name} has no phones.", field="text", hint="Choose --text english or --text symbols."
        )
    return "".join(_letters(line.phones, line.stresses, line.word_starts)).strip()


def _english(text: str) -> str:
    parts: list[str] = []
    for sentence in _frontend().analyse(text):
        phones: list[str] = []
        stresses: list[int] = []
        starts: list[int] = []
        for word in sentence.words:
            starts.append(len(phones))
            phones += [phone.symbol for phone in word.phones]
            stresses += [phone.stress for phone in word.phones]
        parts += _letters(phones, stresses, starts)
    return "".join(parts).strip()


@cache
def _frontend() -> EnglishFrontend:
    return EnglishFrontend()


def _letters(phones: Sequence[str], stresses: Sequence[int], starts: Iterable[int]) -> list[str]:
    """IPA letters with stress marks before their vowel, a blank between words, and the punctuation of pauses."""
    begins, letters, heard = set(starts), [], False
    for index, (phone, stress) in enumerate(zip(phones, stresses, strict=True)):
        if phone == PAUSE:
            letters.append(_MARKS[stress] if heard else "")
            continue
        if index in begins and heard:
            letters.append(" ")
        letters.append(_STRESS.get(stress, "") + ARPABET_TO_IPA[phone])
        heard = True
    return letters

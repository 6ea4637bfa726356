"""Text to the phonemes that GPT-SoVITS was trained on; English, by this project's own dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from voiceclone.errors import LanguageUnsupported
from voiceclone.text.english import EnglishFrontend
from voiceclone.text.phones import PAUSE, VOWELS
from voiceclone.text.types import Phone, Sentence
from voiceclone.types import Pronunciation

#: Languages the published models were trained on whose frontends are not here yet.
MISSING = {"zh": "Chinese", "ja": "Japanese", "ko": "Korean", "yue": "Cantonese"}
_MARKS = frozenset(",.!?-")


@dataclass(frozen=True)
class Phonemes:
    """``symbols`` as upstream spells them, and the text as it is said."""

    symbols: tuple[str, ...]
    normalised: str


def phonemes(text: str, language: str, pronunciations: Sequence[Pronunciation] = ()) -> Phonemes:
    """All of ``text`` in one language. Raises LanguageUnsupported."""
    code = language.lower().removeprefix("all_").replace("_", "-").split("-")[0]
    if code not in ("", "en"):
        raise LanguageUnsupported(
            f"there is no frontend for {MISSING.get(code, repr(language))} yet.", subject="gpt_sovits",
            hint="Send phonemes with the option text_form='phonemes'.",
        )  # fmt: skip
    sentences = english().analyse(text, pronunciations)
    symbols = [symbol for sentence in sentences for symbol in spelled(sentence)]
    return Phonemes(tuple(symbols), " ".join(sentence.normalized_text for sentence in sentences))


@lru_cache(1)
def english() -> EnglishFrontend:
    return EnglishFrontend()


def spelled(sentence: Sentence) -> list[str]:
    """ARPABET with stress; of the pauses the marks that made them."""
    found: list[str] = []
    for word in sentence.words:
        if word.is_pause:
            mark = {";": ",", ":": ",", "…": "."}.get(word.text, word.text)
            found += [mark] if mark in _MARKS and found else []
        else:
            found += [_symbol(phone) for phone in word.phones if phone.symbol != PAUSE]
    return found


def _symbol(phone: Phone) -> str:
    if phone.symbol == "ax":
        return "AH0"
    return f"{phone.symbol.upper()}{phone.stress}" if phone.symbol in VOWELS else phone.symbol.upper()

"""English phones spelled as espeak-ng spells American English, in which most VITS checkpoints were trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from voiceclone.text.phones import VOWELS
from voiceclone.text.types import Phone, Word

#: ARPABET -> espeak's IPA of a stressed, or of any, sound.
_SPELLED: Final = {
    "aa": "ɑː", "ae": "æ", "ah": "ʌ", "ao": "ɔː", "aw": "aʊ", "ax": "ə", "ay": "aɪ", "b": "b", "ch": "tʃ", "d": "d",
    "dh": "ð", "eh": "ɛ", "er": "ɜː", "ey": "eɪ", "f": "f", "g": "ɡ", "hh": "h", "ih": "ɪ", "iy": "iː", "jh": "dʒ",
    "k": "k", "l": "l", "m": "m", "n": "n", "ng": "ŋ", "ow": "oʊ", "oy": "ɔɪ", "p": "p", "r": "ɹ", "s": "s",
    "sh": "ʃ", "t": "t", "th": "θ", "uh": "ʊ", "uw": "uː", "v": "v", "w": "w", "y": "j", "z": "z", "zh": "ʒ",
}  # fmt: skip
#: Vowels that espeak writes otherwise without stress.
_WEAK: Final = {"er": "ɚ", "iy": "i", "ah": "ə"}
_STRESS: Final = {1: "ˈ", 2: "ˌ"}
#: What is written where a table lacks a letter.
_INSTEAD: Final = {"ɚ": "əɹ", "ɜ": "ə", "ɡ": "g", "ɾ": "t", "ɹ": "r", "ʌ": "ə", "ː": ""}


def spell(words: Sequence[Word], known: Callable[[str], bool]) -> list[tuple[str, int]]:
    """(symbol, number of its phone in all of ``words``, pauses counted) of a sentence.

    Words are parted by blanks; the mark that made a pause follows the word before it, as espeak keeps it. A letter
    that ``known`` denies is replaced by its nearest, or left out.
    """
    symbols: list[tuple[str, int]] = []
    phone = 0
    for place, word in enumerate(words):
        if word.is_pause:
            for mark in word.text:
                symbols += [(letter, phone) for letter in _letters(mark, known)]
        else:
            if symbols and known(" "):
                symbols.append((" ", phone if not place else phone - 1))
            for index in range(len(word.phones)):
                symbols += [(letter, phone + index) for letter in _letters(_spelling(word.phones, index), known)]
        phone += len(word.phones)
    return symbols


def _spelling(phones: Sequence[Phone], index: int) -> str:
    phone = phones[index]
    before, after = (phones[at] if 0 <= at < len(phones) else None for at in (index - 1, index + 1))
    if phone.symbol not in VOWELS:
        flapped = phone.symbol == "t" and before is not None and (before.symbol in VOWELS or before.symbol == "r")
        if flapped and after is not None and after.symbol in VOWELS and not after.stress:
            return "ɾ"
        return _SPELLED[phone.symbol]
    weak = not phone.stress and phone.symbol in _WEAK
    return _STRESS.get(phone.stress, "") + (_WEAK if weak else _SPELLED)[phone.symbol]


def _letters(spelling: str, known: Callable[[str], bool]) -> list[str]:
    letters: list[str] = []
    for letter in spelling:
        if known(letter):
            letters.append(letter)
        else:
            letters += [other for other in _INSTEAD.get(letter, "") if known(other)]
    return letters

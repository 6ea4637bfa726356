"""Phonemes written by a user, in IPA, ARPABET or X-SAMPA, to phones of the inventory."""

# ruff: noqa: RUF001 - look-alike characters are this file's subject

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from voiceclone.errors import PhonemesInvalid
from voiceclone.text.ipa import IPA_TO_ARPABET
from voiceclone.text.phones import ARPABET_TO_IPA, PAUSE_STRESS, VOWELS
from voiceclone.text.types import Phone, Sentence, Word, pause
from voiceclone.types import PhoneticAlphabet, TextSpan

#: ARPABET symbols of other inventories.
_ARPABET_ALSO: Final = {
    "axr": "er", "ix": "ih", "ux": "uw", "dx": "t", "nx": "n", "el": "ax l", "em": "ax m", "en": "ax n", "q": "t",
    "h": "hh", "wh": "w", "hv": "hh",
}  # fmt: skip
_X_SAMPA_TO_IPA: Final = {
    "@": "ə", "{": "æ", "A": "ɑ", "V": "ʌ", "O": "ɔ", "I": "ɪ", "U": "ʊ", "E": "ɛ", "3": "ɜ", "r\\": "ɹ", "T": "θ",
    "D": "ð", "S": "ʃ", "Z": "ʒ", "N": "ŋ", "@`": "ɚ", "3`": "ɝ", "Q": "ɒ", "6": "ɐ", "1": "ɨ", "4": "ɾ", "?": "ʔ",
    "W": "ʍ", "5": "ɫ", "l=": "l̩", "n=": "n̩", "m=": "m̩", "C": "ç", "J": "ɲ", "R": "ʁ", "aI": "aɪ", "aU": "aʊ",
    "eI": "eɪ", "oU": "oʊ", "OI": "ɔɪ", "@U": "əʊ", "I@": "ɪə", "e@": "eə", "E@": "ɛə", "U@": "ʊə", "tS": "tʃ",
    "dZ": "dʒ", "2": "ø", "9": "œ", "B": "β", "G": "ɣ", "}": "ʉ", "L": "ʎ", "l_=": "l̩", "n_=": "n̩",
}  # fmt: skip

_IPA_SKIPPED: Final = frozenset("ːˑ.‿ʰʲʷˠˤʼ()͜͡-")
_IPA_STRESS: Final = {"ˈ": 1, "'": 1, "ˌ": 2}
_X_SAMPA_SKIPPED: Final = frozenset(":.-_()")
_X_SAMPA_STRESS: Final = {'"': 1, "%": 2}
#: What a word looks like and which marks pause. Stops inside words part syllables; ARPABET words hold blanks; "?" is a
#: sound in X-SAMPA.
_SHAPES: Final = {
    PhoneticAlphabet.IPA: (r"[^\s,;!?|‖/\[\]]+", ",;!?|‖"),
    PhoneticAlphabet.X_SAMPA: (r"[^\s,;!|]+", ",;!|"),
    PhoneticAlphabet.ARPABET: (r"[^\s,;.!?|]+(?:\s+[^\s,;.!?|]+)*", ",;.!?|"),
}
_MAX_SYMBOL: Final = 3


class InvalidPhonemes(PhonemesInvalid, ValueError):
    """A symbol outside its alphabet: ``position`` is its code point in the value, ``allowed`` what may stand there."""

    def __init__(self, message: str, *, position: int = 0, allowed: tuple[str, ...] = ()) -> None:
        hint = f"Allowed symbols: {' '.join(allowed)}." if allowed else ""
        super().__init__(message, hint=hint)
        self.position = position
        self.allowed = allowed


def symbols(alphabet: PhoneticAlphabet) -> tuple[str, ...]:
    """Every sound symbol that ``alphabet`` may be written with here, sorted; stress marks not included."""
    if alphabet is PhoneticAlphabet.ARPABET:
        return tuple(sorted((*ARPABET_TO_IPA, *_ARPABET_ALSO)))
    if alphabet is PhoneticAlphabet.X_SAMPA:
        return tuple(sorted({*_X_SAMPA_TO_IPA, *(symbol for symbol in IPA_TO_ARPABET if symbol.isascii())}))
    return tuple(sorted(IPA_TO_ARPABET))


def parse_phonemes(value: str, alphabet: PhoneticAlphabet) -> Sentence:
    """The sentence that ``value`` spells; spans are code points of ``value``.

    IPA and X-SAMPA: blanks part words; , ; | make a short pause; . ! ? at a word's end make a long one. ARPABET: blanks
    part phones ("HH AH0 L OW1"), a mark parts words. Raises :class:`InvalidPhonemes` on an unknown symbol or no sound.
    """
    words: list[Word] = [pause("", 0, TextSpan(0, 0))]
    for begin, end, text, is_mark in _stretches(value, alphabet):
        where = TextSpan(begin, end)
        if not is_mark:
            words.append(Word(text, where, _stressed(_word_phones(text, begin, alphabet))))
        elif text == "|" and alphabet is PhoneticAlphabet.ARPABET:
            continue  # only parts words
        elif not words[-1].is_pause:
            mark = "," if text in "|‖" else text
            words.append(pause(mark, PAUSE_STRESS[mark], where))
    if all(word.is_pause for word in words):
        raise InvalidPhonemes("The phonemes hold no sound.", allowed=symbols(alphabet))
    last = words.pop() if words[-1].is_pause else pause(".", 2, TextSpan(len(value), len(value)))
    mark = last.text if last.text in (".", "!", "?") else "."
    words.append(pause(mark, PAUSE_STRESS[mark], last.span))
    return Sentence(TextSpan(0, len(value)), value, tuple(words))


def spoken_phones(value: str, alphabet: PhoneticAlphabet) -> tuple[Phone, ...]:
    """The phones of ``value`` without its pauses, for one pronunciation. Raises :class:`InvalidPhonemes`."""
    return tuple(phone for word in parse_phonemes(value, alphabet).words if not word.is_pause for phone in word.phones)


def _stretches(value: str, alphabet: PhoneticAlphabet) -> Iterator[tuple[int, int, str, bool]]:
    """(begin, end, text, whether it is a pause mark) of each word and each mark of ``value``."""
    word, marks = _SHAPES[alphabet]
    for match in re.finditer(rf"(?P<word>{word})|[{marks}]", value):
        begin, end = match.span()
        if match["word"] is None:
            yield begin, end, match[0], True
            continue
        text = match[0].rstrip(".")
        if text:
            yield begin, begin + len(text), text, False
        if len(text) < len(match[0]):
            yield begin + len(text), end, ".", True


def _word_phones(text: str, begin: int, alphabet: PhoneticAlphabet) -> tuple[Phone, ...]:
    if alphabet is PhoneticAlphabet.ARPABET:
        return tuple(_arpabet(text, begin))
    sampa = alphabet is PhoneticAlphabet.X_SAMPA
    stresses = _X_SAMPA_STRESS if sampa else _IPA_STRESS
    skipped = _X_SAMPA_SKIPPED if sampa else _IPA_SKIPPED
    phones: list[Phone] = []
    stress = 0
    position = 0
    while position < len(text):
        char = text[position]
        found = _longest(text, position, sampa)
        if found is not None:
            length, sounds = found
            for symbol in sounds:
                vowel = symbol in VOWELS
                phones.append(Phone(symbol, stress if vowel else 0))
                stress = 0 if vowel else stress
            position += length
        elif char in stresses:
            stress = stresses[char]
            position += 1
        elif char in skipped or unicodedata.category(char)[0] == "M":
            position += 1
        else:
            where = begin + position
            raise InvalidPhonemes(
                f"Unknown {alphabet.value} symbol {char!r} at position {where}.",
                position=where,
                allowed=symbols(alphabet),
            )
    return tuple(phones)


def _stressed(phones: tuple[Phone, ...]) -> tuple[Phone, ...]:
    """A word of one full vowel without a mark is stressed: nobody marks the stress of "cat"."""
    vowels = [index for index, phone in enumerate(phones) if phone.symbol in VOWELS and phone.symbol != "ax"]
    if len(vowels) != 1 or any(phone.stress for phone in phones):
        return phones
    index = vowels[0]
    return (*phones[:index], Phone(phones[index].symbol, 1), *phones[index + 1 :])


def _longest(text: str, position: int, sampa: bool) -> tuple[int, tuple[str, ...]] | None:
    """Length and phones of the longest symbol of ``text`` at ``position``; tie bars inside a symbol are skipped."""
    for length in range(min(_MAX_SYMBOL, len(text) - position), 0, -1):
        written = text[position : position + length]
        symbol = _X_SAMPA_TO_IPA.get(written, written) if sampa else written.replace("͡", "").replace("͜", "")
        if symbol in IPA_TO_ARPABET and (not sampa or written.isascii()):
            return length, IPA_TO_ARPABET[symbol]
    return None


def _arpabet(text: str, begin: int) -> Iterator[Phone]:
    for match in re.finditer(r"\S+", text):
        bare = match[0].rstrip("012")
        digit = match[0][len(bare) :]
        symbol = bare.lower()
        sounds = _ARPABET_ALSO.get(symbol, symbol).split()
        if len(digit) > 1 or any(sound not in ARPABET_TO_IPA for sound in sounds) or not sounds:
            where = begin + match.start()
            raise InvalidPhonemes(
                f"Unknown arpabet symbol {match[0]!r} at position {where}.",
                position=where,
                allowed=symbols(PhoneticAlphabet.ARPABET),
            )
        for sound in sounds:
            schwa = sound == "ah" and digit == "0"
            yield Phone("ax" if schwa else sound, int(digit or 0) if sound in VOWELS else 0)

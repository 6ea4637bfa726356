"""IPA segments to the phone inventory, the way the speech the models were trained on says them."""

# ruff: noqa: RUF001 - look-alike characters are this file's subject

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from voiceclone.text.phones import ARPABET_TO_IPA, VOWELS
from voiceclone.text.types import Phone

#: Other spellings of inventory sounds, and the nearest inventory sounds of a few more. A value may be two phones.
_ALSO: Final[dict[str, str]] = {
    "ɚ": "er", "ɜ": "er", "ɝ": "er", "ɜr": "er", "ər": "er", "g": "g", "r": "r", "ɾ": "t", "ɫ": "l",
    "ʍ": "w", "ʔ": "t", "tʃ": "ch", "ʧ": "ch", "dʒ": "jh", "ʤ": "jh", "a": "aa", "ɒ": "aa", "ɐ": "ax",
    "ɨ": "ih", "ʉ": "uw", "e": "ey", "o": "ow", "əʊ": "ow", "ɪə": "ih r", "eə": "eh r", "ɛə": "eh r",
    "ʊə": "uh r", "x": "k", "ç": "hh", "ɬ": "l", "ɲ": "n y", "y": "uw", "ø": "er", "œ": "er",
    "l̩": "ax l", "n̩": "ax n", "m̩": "ax m", "ɹ̩": "er", "β": "v", "ɣ": "g", "ʁ": "r", "ɡ": "g",
    "c": "k", "ɟ": "jh", "ʎ": "l y", "ɻ": "r", "ɱ": "m", "ɔː": "ao", "ə˞": "er", "ɜ˞": "er", "ᵻ": "ih",
    "oːɹ": "ao r", "oɹ": "ao r", "or": "ao r", "ai": "ay", "au": "aw", "ei": "ey", "oi": "oy",
    "ɔi": "oy", "ou": "ow",
}  # fmt: skip

#: IPA segment -> phones. Diphthongs and affricates are one segment.
IPA_TO_ARPABET: Final[dict[str, tuple[str, ...]]] = {
    **{ipa: (phone,) for phone, ipa in ARPABET_TO_IPA.items()},
    **{ipa: tuple(phones.split()) for ipa, phones in _ALSO.items()},
}

_STRESS_MARKS: Final = {"ˈ": 1, "ˌ": 2}
#: Before these the training voices make a schwa of an unstressed "ih" past the first syllable: "edges", "needed".
_REDUCING: Final = frozenset(("d", "z", "t", "s", "jh", "b", "f"))


def phones_of_segments(segments: Sequence[str]) -> tuple[Phone, ...]:
    """Phones of one dictionary word given as IPA segments such as "h", "ə", "l", and a stressed "oʊ".

    Stress marks lead their segment; tie bars are ignored. Unstressed vowels are reduced as the training voices reduce
    them. Raises KeyError on a segment that is not IPA known here.
    """
    phones: list[Phone] = []
    for segment in segments:
        stress = _STRESS_MARKS.get(segment[0], 0)
        for symbol in IPA_TO_ARPABET[segment.lstrip("ˈˌ").replace("͡", "")]:
            phones.append(Phone(symbol, stress if symbol in VOWELS else 0))
    return _reduced(phones)


def _weak_ih(after: str, beyond: str) -> bool:
    """Whether an unstressed "ih" before these two phones is said as a schwa."""
    if after == "k":
        return beyond in VOWELS
    return after in _REDUCING and not (after == "s" and beyond in ("p", "k"))


def _reduced(phones: list[Phone]) -> tuple[Phone, ...]:
    symbols = [phone.symbol for phone in phones] + ["", "", ""]
    for index, phone in enumerate(phones):
        if phone.stress:
            continue
        after, beyond = symbols[index + 1], symbols[index + 2]
        if phone.symbol == "ah":
            phones[index] = Phone("ax")
        elif phone.symbol == "uw" and after == "ax":
            # "actual", "visual", "continuous": u + schwa glides.
            phones[index] = Phone("ax")
            phones.insert(index + 1, Phone("w"))
            return _reduced(phones)
        elif phone.symbol == "ih" and index > 1 and _weak_ih(after, beyond):
            phones[index] = Phone("ax")
    opening = (symbols[0] in ("ih", "eh", "ax"), symbols[1] == "ng", symbols[2] in ("k", "g"), len(phones) > 3)
    if all(opening) and not phones[0].stress:
        phones[1] = Phone("n")  # a prefix keeps its own nasal: "include", "encounter"
    return tuple(phones)

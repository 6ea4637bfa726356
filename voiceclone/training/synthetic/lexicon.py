"""Words and their stress patterns, from the English lexicon that gruut installs."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_PLAIN_WORD: Final = re.compile(r"[a-z]{3,12}")
_IPA_VOWELS: Final = "aɑæʌəɔɛɚɝeɪioʊu"  # noqa: RUF001
_STRESS_MARKS: Final = {"ˈ": 1, "ˌ": 2}  # noqa: RUF001


@lru_cache(maxsize=1)
def _pronunciations() -> dict[str, str]:
    """First pronunciation of every word, in IPA symbols divided by spaces. Raises RuntimeError without the lexicon."""
    spec = find_spec("gruut_lang_en")
    if spec is None or spec.origin is None:
        raise RuntimeError("the English lexicon is missing; install it with: pip install gruut")
    database = Path(spec.origin).parent / "lexicon.db"
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT word, phonemes FROM word_phonemes ORDER BY pron_order DESC, id DESC")
        return {word: phonemes for word, phonemes in rows}
    finally:
        connection.close()


@lru_cache(maxsize=1)
def plain_words() -> tuple[str, ...]:
    """Every word of 3 to 12 lower-case letters, in alphabetical order."""
    return tuple(sorted(word for word in _pronunciations() if _PLAIN_WORD.fullmatch(word)))


def is_word(word: str) -> bool:
    """Whether the lexicon knows `word`, whatever its case."""
    return word.lower() in _pronunciations()


@lru_cache(maxsize=65536)
def stress_pattern(word: str) -> tuple[int, ...] | None:
    """Stress of each vowel of `word` (0 none, 1 primary, 2 secondary), None for an unknown word."""
    phonemes = _pronunciations().get(word.lower())
    if phonemes is None:
        return None
    stresses = ((_STRESS_MARKS.get(symbol[0], 0), symbol.lstrip("ˈˌ")) for symbol in phonemes.split())
    return tuple(stress for stress, symbol in stresses if symbol and symbol[0] in _IPA_VOWELS)


def demote_secondary(word: str, stresses: Sequence[int]) -> tuple[int, ...]:
    """Vowel stresses of an engine that knows only 0 and 1, with 2 where the lexicon has secondary stress.

    Changes nothing when the word has at most one stressed vowel or the lexicon has another number of vowels.
    """
    pattern = stress_pattern(word)
    if pattern is None or len(pattern) != len(stresses) or sum(stress > 0 for stress in stresses) < 2:
        return tuple(stresses)
    return tuple(2 if ours and theirs == 2 else ours for ours, theirs in zip(stresses, pattern, strict=True))

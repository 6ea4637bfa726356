"""Folding of any Unicode text to the few characters English readers know, keeping where each one came from."""

# ruff: noqa: RUF001 - look-alike characters are this file's subject

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from voiceclone.types import TextSpan

#: Characters that folding would lose or change but that have a reading or a meaning of their own.
_KEPT: Final = frozenset("…—–°²³µ£€¥₹¢₩₽₿§±×÷≈≠≤≥√∞")

_REPLACED: Final[dict[str, str]] = {
    **dict.fromkeys("‘’‚‛′ʼ`´＇", "'"), **dict.fromkeys("“”„‟″«»〝〞＂", '"'),
    **dict.fromkeys("‐‑−﹣－", "-"), "‒": "–", "―": "—", "⸺": "—", "⸻": "—", "〜": "~", "～": "~",
    **dict.fromkeys("。｡।॥", "."), **dict.fromkeys("、､،", ","), "؛": ";", "؟": "?", "‼": "!", "⁇": "?", "⁉": "?",
    "¿": " ", "¡": " ", "™": " ", "®": " ", "©": " ", "℠": " ", "№": "No. ", "μ": "µ", "⋯": "…", "․": ".",
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th", "ı": "i",
    "\u200b": " ", "\u2028": "\n", "\u2029": "\n", "\x85": "\n", "\v": "\n", "\f": "\n", "⁄": "⁄",
}  # fmt: skip

_ASCII_CONTROLS: Final = {code: " " for code in (*range(9), *range(14, 32), 127)} | {11: "\n", 12: "\n", 96: "'"}


@dataclass(frozen=True, slots=True)
class Folded:
    """Folded ``text`` and, per character of it, the code points ``[begins[i], ends[i])`` of the text as sent."""

    text: str
    begins: Sequence[int]
    ends: Sequence[int]

    def span(self, begin: int, end: int) -> TextSpan:
        """Span in the text as sent of the non-empty folded stretch ``[begin, end)``."""
        return TextSpan(self.begins[begin], self.ends[end - 1])


def fold(text: str) -> Folded:
    """Fold ``text``: plain quotes and dashes, ASCII letters for accented ones and look-alikes, ASCII digits for all
    digits, spaces for controls, emoji and unknown symbols; format characters (joiners, bidi controls) vanish.

    Letters of scripts with no ASCII form stay as they are. Never raises, lone surrogates included.
    """
    if text.isascii():
        return Folded(text.translate(_ASCII_CONTROLS), range(len(text)), range(1, len(text) + 1))
    chars: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    for index, char in enumerate(text):
        folded = _fold_char(char)
        if folded is None:
            # A combining mark belongs to the character before it.
            if ends and unicodedata.category(char)[0] == "M":
                ends[-1] = index + 1
            continue
        chars.append(folded)
        begins.extend([index] * len(folded))
        ends.extend([index + 1] * len(folded))
    return Folded("".join(chars), begins, ends)


@lru_cache(maxsize=4096)
def _fold_char(char: str) -> str | None:
    """The characters that stand for ``char``, or None when it vanishes."""
    if char.isascii():
        return _ASCII_CONTROLS.get(ord(char), char)
    if char in _KEPT:
        return char
    if char in _REPLACED:
        return _REPLACED[char]
    category = unicodedata.category(char)
    if category[0] == "M" or category == "Cf":
        return None
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category[0] in "ZC":
        return " "
    plain = "".join(part for part in unicodedata.normalize("NFKD", char) if unicodedata.category(part)[0] != "M")
    if category == "No" and "⁄" in plain:
        return f" {plain}"  # so that the half of "2½" does not join the 2
    if plain.isascii() and plain.strip():
        return plain
    return plain if plain and all(part.isalpha() for part in plain) else " "

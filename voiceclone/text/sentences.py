"""Sentence splitting with spans, for every language whose sentences end in a mark."""

# ruff: noqa: RUF001 - look-alike characters are this file's subject

from __future__ import annotations

import re
from typing import Final

from voiceclone.text.abbreviations import NEVER_FINAL, OPENERS, SELDOM_FINAL
from voiceclone.types import TextSpan

#: A sentence longer than this many characters is cut at a comma or space, so that no stream waits for it.
MAX_CHARS: Final = 300

_CJK: Final = "。！？｡．"
_ENDS: Final = re.compile(rf"(?P<line>\n\s*)|(?P<mark>[.!?…؟।॥{_CJK}]+)(?P<close>[\"'”’»)\]」』]*)")
_LAST_WORD: Final = re.compile(r"[^\W_]+(?:[.'’][^\W_]+)*$")
_NEXT_WORD: Final = re.compile(r"[\s\"'“‘«(\[¿¡—–-]*([^\W_]+)?")
#: Where a long sentence may be cut, best first: clause marks before a blank, and dashes; then commas.
_CLAUSE_ENDS: Final = (re.compile(r"[;:](?=\s)|—|\s–(?=\s)"), re.compile(r",(?=\s)|[，、]"))
#: How far a decision looks around a mark, in characters; bounds the work on hostile text.
_WINDOW: Final = 40


def split_sentences(text: str, max_chars: int = MAX_CHARS) -> list[TextSpan]:
    """Spans of the sentences of ``text``, in order, without surrounding white space and at most ``max_chars`` long.

    Ends are . ! ? … and their CJK, Arabic and Devanagari kin, and line ends; not the stops of abbreviations, initials
    and decimals. Text without any letter, mark or digit gives no span. Linear in the length of the text.
    """
    spans: list[TextSpan] = []
    begin = 0
    for match in _ENDS.finditer(text):
        if match.end() <= begin:
            continue
        ends = _mark_ends(text, match) if match["line"] is None else _line_ends(text, begin, match)
        if ends:
            spans.extend(_pieces(text, begin, match.end(), max_chars))
            begin = match.end()
    spans.extend(_pieces(text, begin, len(text), max_chars))
    return spans


def _line_ends(text: str, begin: int, match: re.Match[str]) -> bool:
    """Whether a line end ends a sentence: not where prose was wrapped, that is before a lower-case letter."""
    blank_line = match[0].count("\n") > 1
    following = text[match.end() : match.end() + 1]
    wrapped = following.islower() and text[begin : match.start()].strip() != ""
    return blank_line or not wrapped


def _mark_ends(text: str, match: re.Match[str]) -> bool:
    mark = match["mark"]
    if any(char in _CJK for char in mark):
        return True
    after = text[match.end() : match.end() + _WINDOW]
    word_match = _LAST_WORD.search(text, max(0, match.start() - _WINDOW), match.start())
    before = word_match[0] if word_match else ""
    if not after:
        return True
    if not after[0].isspace():
        # "end.Next" without a space ends a sentence, "3.5", "U.S." and "site.org" do not.
        return (
            mark[0] in ".!?"
            and len(before) > 2
            and before[-1:].islower()
            and after[:1].isupper()
            and after[1:2].islower()
        )
    following = _NEXT_WORD.match(after)
    word = (following[1] or "") if following else ""
    goes_on = word[:1].islower()
    if mark == ".":
        return _stop_ends(before, word)
    if mark[0] in "…." or match["close"]:
        return not goes_on
    return True


def _stop_ends(before: str, following: str) -> bool:
    """Whether one full stop between the words ``before`` and ``following`` ends a sentence."""
    word = before.lower()
    if word in NEVER_FINAL:
        return False
    initial = len(before) == 1 and before.isalpha() and before.isupper()
    if word in SELDOM_FINAL or initial or "." in before:
        return following.lower() in OPENERS and following[:1].isupper()
    return True


def _pieces(text: str, begin: int, end: int, max_chars: int) -> list[TextSpan]:
    """The stretch ``[begin, end)`` without its outer white space, cut into pieces of at most ``max_chars``."""
    pieces: list[TextSpan] = []
    while True:
        while begin < end and text[begin].isspace():
            begin += 1
        while end > begin and text[end - 1].isspace():
            end -= 1
        if end - begin <= max_chars:
            if begin < end:
                pieces.append(TextSpan(begin, end))
            return pieces
        cut = _cut(text, begin, begin + max_chars)
        pieces.append(TextSpan(begin, cut))
        begin = cut


def _cut(text: str, begin: int, limit: int) -> int:
    """Where to cut ``text[begin:limit]``: after its last clause mark, else at its last space, else at ``limit``."""
    earliest = begin + (limit - begin) // 3
    for clause_end in _CLAUSE_ENDS:
        ends = [match.end() for match in clause_end.finditer(text, earliest, limit)]
        if ends:
            return ends[-1]
    space = max(text.rfind(char, earliest, limit) for char in " \t\n")
    return space if space > begin else limit

"""The scanner: one sentence of folded text to the pieces it is spoken as, left to right."""

# ruff: noqa: RUF001 - look-alike characters are this file's subject

from __future__ import annotations

import re
import unicodedata
from typing import Final

from voiceclone.text import amounts, dates, digits
from voiceclone.text.lexicon import MAX_LETTERS
from voiceclone.text.reading import Context, Kind, Piece, Reader, say, spell
from voiceclone.text.wordlists import APOSTROPHE_FIRST, LETTERED
from voiceclone.text.written import Known, acronym, parts, readers, unspaced

#: Marks that pause, and the mark whose pause they are.
_BREAKS: Final = {
    ",": ",", ";": ";", ":": ":", ".": ".", "!": "!", "?": "?", "…": "…", "—": "-", "–": "-", "(": ",", ")": ",",
    "[": ",", "]": ",", "{": ",", "}": ",",
}  # fmt: skip
#: Symbols read by name where they stand alone.
_SYMBOLS: Final = {
    "&": "and", "+": "plus", "=": "equals", "%": "percent", "@": "at", "×": "times", "÷": "divided by",
    "±": "plus or minus", "≈": "is about", "≠": "is not equal to", "≤": "is at most", "≥": "is at least",
    "°": "degrees", "√": "square root of", "∞": "infinity", "€": "euros", "£": "pounds", "§": "section",
}  # fmt: skip
#: Read only between two spaced words: "5 < 6", not "<tag>" and not "->".
_SPACED: Final = {"<": "is less than", ">": "is greater than", "*": "times", "/": "divided by", "^": "to the power of"}

_NUMERIC: Final[tuple[Reader, ...]] = (*dates.READERS, *digits.READERS[:2], *amounts.READERS, *digits.READERS[2:])
_NUMERIC_START: Final = re.compile(r"[-+±~≈]?(?:(?:US|CA|AU|NZ|HK)\$|[$£€¥₹₩₽₿])?\s?[-+]?\(?\.?\d|[#§]\s?\d|'\d")
_WORD: Final = re.compile(r"[^\W\d_²³]+(?:'[^\W\d_²³]+)*'?")
_EMOTICON: Final = re.compile(r"(?:[:;=8]'?-?[()DPpOo/\\|*]+|<3)(?![\w])")
_UPPER: Final = re.compile(r"[A-Z]{2,}")
_ALNUM: Final = re.compile(r"(?=[^\W\d_]{1,40}\d|\d{1,40}[^\W\d_])[^\W_]{1,80}")


class Scanner:
    """Reads sentences of folded text; ``known`` tells whether a lower-case word is in the dictionary."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._words: tuple[Reader, ...] = (*dates.WORD_READERS, *readers(known))

    def scan(self, text: str, begin: int, end: int, first: tuple[Reader, ...] = ()) -> list[Piece]:
        """Pieces of ``text[begin:end]`` in order; what has no reading in English leaves none. Never raises.

        ``first`` are readers tried before all others wherever no word is under way.
        """
        # Readers must not look past the sentence, so that "5" at its end is not a unit's.
        context = Context(text[:end], end, _shouting(text[begin:end]))
        position = begin
        while position < end:
            char = text[position]
            if char.isspace():
                position += 1
                continue
            done = self._try(first, context, position) if first else None
            position = self._step(context, position, char) if done is None else done
        return context.pieces

    def _step(self, context: Context, position: int, char: str) -> int:
        """Read one token at ``position``; returns where the next one begins."""
        text = context.text
        joined = position > 0 and text[position - 1].isalnum()
        if (not joined or char.isdigit()) and _NUMERIC_START.match(text, position):
            done = self._try(_NUMERIC, context, position)
            if done is not None:
                return done
        if char.isalpha() or (char in "#@" and not joined):
            done = self._try(self._words, context, position)
            return self._word(context, position) if done is None else done
        smile = _EMOTICON.match(text, position) if not joined else None
        if smile:
            return smile.end()
        if char == "'" and not joined:
            return self._apostrophe(context, position)
        if char in "-–" and joined and _NUMERIC_START.match(text, position + 1) and text[position - 1].isdigit():
            context.pieces += say("to", position, position + 1)
            return position + 1
        return _symbol(context, position, char)

    @staticmethod
    def _try(table: tuple[Reader, ...], context: Context, position: int) -> int | None:
        for pattern, read in table:
            match = pattern.match(context.text, position)
            if match and match.end() > position:
                pieces = read(match, context)
                if pieces is not None:
                    context.pieces += pieces
                    return match.end()
        return None

    def _apostrophe(self, context: Context, position: int) -> int:
        match = _WORD.match(context.text, position + 1)
        word = f"'{match[0].lower()}".rstrip("'") if match else ""
        if match and word in APOSTROPHE_FIRST:
            context.pieces += say(word, position, match.end())
            return match.end()
        return position + 1

    def _word(self, context: Context, position: int) -> int:
        text = context.text
        mixed = _ALNUM.match(text, position)
        if mixed:
            context.pieces += parts(mixed[0], position, self._known)
            return mixed.end()
        match = _WORD.match(text, position)
        if match is None:
            return position + 1
        word = match[0].rstrip("'") if match[0].lower().rstrip("'")[-1:] != "s" else match[0]
        end = position + len(word)
        if len(word) == 1:
            return self._single(context, position)
        if not word[0].isascii():
            return end  # a script that English does not read
        for begin in range(position, end, MAX_LETTERS):
            piece = text[begin : min(begin + MAX_LETTERS, end)]
            context.pieces += self._letters(piece, begin, context.shouting)
        return end

    def _letters(self, word: str, begin: int, shouting: bool) -> list[Piece]:
        """A word of two letters or more, by its case."""
        end = begin + len(word)
        lower = word.lower()
        if shouting or word.islower() or (word[0].isupper() and word[1:].islower()):
            return unspaced(word, begin, self._known)
        bare, apostrophe, ending = word.partition("'")
        upper = _UPPER.match(bare)
        plural = bare[-1:] == "s" and upper is not None and upper.end() == len(bare) - 1
        if bare.isupper() or plural:
            if apostrophe and self._known(lower):
                return say(lower, begin, end)  # "DON'T"
            pieces = acronym(bare[:-1] if plural else bare, begin, self._known)
            if plural or ending.lower() == "s":
                last = pieces[-1]
                pieces[-1] = last._replace(text=f"{last.text}'s", end=end)
            return pieces
        return say(lower, begin, end) if self._known(lower) or apostrophe else parts(word, begin, self._known)

    @staticmethod
    def _single(context: Context, position: int) -> int:
        text, char = context.text, context.text[position]
        lower = char.lower()
        end = position + 1
        if not char.isascii():
            name = unicodedata.name(char, "")
            if name.startswith("GREEK") and " LETTER " in name:
                context.pieces += say(name.rpartition(" LETTER ")[2].split()[0].lower(), position, end)
            return end
        followed = text[end : end + 2]
        closes = (followed.strip() == "" and len(followed) < 2) or followed[:1] in ",.;:!?)"
        named = context.previous_word().lower() in LETTERED
        if lower == "a" and not named and not (char == "A" and closes and context.pieces):
            context.pieces += say("a", position, end)
        elif lower == "i":
            context.pieces += say("i", position, end)
        else:
            context.pieces += spell(char, position)
        # The stop of an initial: "J. Smith".
        return end + 1 if char.isupper() and followed == ". " and text[end + 2 : end + 3].isupper() else end


def _symbol(context: Context, position: int, char: str) -> int:
    """A mark that pauses, a symbol with a name, or nothing."""
    text = context.text
    end = position + 1
    while end < context.end and text[end] == char:
        end += 1
    before = text[position - 1 : position]
    after = text[end : end + 1]
    if char in _BREAKS:
        mark = "…" if char == "." and end - position > 1 else _BREAKS[char]
        inside = char in ".:" and before.isalnum() and after.isalnum()
        if not inside or char == ":":
            context.pieces.append(Piece(mark, position, end, Kind.BREAK))
        return end
    if char == "-":
        if end - position > 1 or before.isspace() or (after.isspace() and before):
            context.pieces.append(Piece("-", position, end, Kind.BREAK))
        return end
    if end - position > 1:
        return end
    if char in _SYMBOLS:
        context.pieces += say(_SYMBOLS[char], position, end)
    elif (
        char in _SPACED
        and before.isspace()
        and after.isspace()
        and (char != "/" or context.previous_word()[-1:].isdigit())
    ):
        context.pieces += say(_SPACED[char], position, end)
    elif char in "<>" and after.isdigit() and (before.isspace() or not before):
        context.pieces += say("less than" if char == "<" else "more than", position, end)
    return end


def _shouting(text: str) -> bool:
    words: list[str] = [word for word in _WORD.findall(text[:1000]) if len(word) > 1]
    upper = sum(word.isupper() for word in words)
    return upper >= 3 and upper * 5 >= len(words) * 4

"""Written forms that are not plain words: abbreviations, acronyms, Roman numerals, addresses, hashtags, mixed case."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from voiceclone.text.abbreviations import BEFORE_NUMBER, DATE_LIKE, DOTTED, READINGS, STOPLESS, TITLES
from voiceclone.text.amounts import POWERS, UNIT
from voiceclone.text.numbers import cardinal, ordinal, whole
from voiceclone.text.reading import Context, Kind, Piece, Reader, say, say_match, spell
from voiceclone.text.units import ATTACHED, UNITS
from voiceclone.text.wordlists import NUMBERED, REGNAL, SAID, SPELLED

#: Whether a lower-case word has a pronunciation in the lexicon; set by the frontend that owns one.
Known = Callable[[str], bool]

_ROMAN: Final = re.compile(r"(?P<roman>(?=[IVXL])(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3}))(?![\w]|'[a-z]|\.[A-Za-z])")
_ROMAN_VALUES: Final = {"I": 1, "V": 5, "X": 10, "L": 50}

_TLD: Final = r"(?:com|org|net|edu|gov|io|ai|dev|app|co|uk|us|de|fr|eu|info|tv|me|ca|au|jp|cn|in)"
_SEPARATORS: Final = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "@": "at", ":": "colon", "?": "question mark",
    "=": "equals", "&": "and", "#": "hash", "%": "percent", "+": "plus", "~": "tilde",
}  # fmt: skip
_CASED: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+|\d+")


def roman_value(numeral: str) -> int:
    """Value of a valid Roman numeral up to 89."""
    values = [_ROMAN_VALUES[char] for char in numeral]
    return sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True))


def acronym(letters: str, begin: int, known: Known) -> list[Piece]:
    """A word in capitals: by its letters, or as a word where the lexicon has it or it can only be one."""
    lower = letters.lower()
    sayable = known(lower) or (len(letters) > 5 and re.search("[aeiou]", lower))
    if letters in SAID or (sayable and letters not in SPELLED):
        return say(lower, begin, begin + len(letters))
    return spell(letters, begin)


def parts(text: str, begin: int, known: Known) -> list[Piece]:
    """A run of letters and figures without spaces ("iPhone15", "GPT-4", "HelloWorld") as its parts."""
    pieces: list[Piece] = []
    for match in _CASED.finditer(text):
        part, start = match[0], begin + match.start()
        if part.isdigit():
            pieces += say(whole(part), start, start + len(part))
        elif part.isupper() and len(part) > 2:
            pieces += acronym(part, start, known)
        elif part.isupper() or len(part) == 1:
            pieces += spell(part, start)
        else:
            pieces += unspaced(part, start, known)
    return pieces


def unspaced(word: str, begin: int, known: Known) -> list[Piece]:
    """A word of small letters; spelled when it has no vowel and no entry, so that nobody has to say "xkcd"."""
    lower = word.lower()
    if not known(lower) and len(lower) <= 6 and not re.search("[aeiouy]", lower) and lower.isascii():
        return spell(word, begin)
    return say(lower, begin, begin + len(word))


def _dr(match: re.Match[str], context: Context) -> list[Piece] | None:
    """ "Dr" and "St" stand before a name or after one."""
    after = re.match(r"\s+[A-Z]", context.following(match.end()))
    doctor = match["word"].lower() == "dr"
    if not match["stop"] and not after and not context.previous_word()[:1].isupper():
        return None
    if after is None and (context.previous_word()[:1].isupper() or not doctor):
        return say_match("drive" if doctor else "street", match)
    street_number = len(context.pieces) > 1 and context.text[context.pieces[-2].begin].isdigit()
    if street_number and context.previous_word()[:1].isupper():
        return say_match("drive" if doctor else "street", match)
    return say_match("doctor" if doctor else "saint", match)


def _number_word(match: re.Match[str], _: Context) -> list[Piece] | None:
    return say_match("number" if match["word"].lower() == "no" else "numbers", match)


def _abbreviation(match: re.Match[str], context: Context) -> list[Piece] | None:
    word = match["word"].lower()
    capital = match["word"][0].isupper()
    if match["word"].isupper() and word not in TITLES and not context.shouting:
        return None  # "CA.", "MIN": a code, not an abbreviation
    reading = READINGS.get(word) if match["stop"] else STOPLESS.get(word)
    if reading is None or (word in TITLES and not capital):
        return None
    after = context.following(match.end())
    dated = word in DATE_LIKE and match["stop"] and after.strip() and capital
    if word in BEFORE_NUMBER and not dated and not re.match(r"\s*\d", after):
        return None
    if word == "ft" and context.previous_word()[-1:].isdigit():
        reading = "feet"
    return say_match(reading, match)


def _dotted(match: re.Match[str], context: Context) -> list[Piece] | None:
    if match[0][:2] == "w/":
        return say_match("without" if match[0] == "w/o" else "with", match)
    letters = match[0].replace(".", "").replace(" ", "")
    reading = DOTTED.get(letters.lower())
    end_stop = match[0].endswith(".")
    if reading and letters.islower():
        end = match.end() - end_stop
        pause = [Piece(",", end, match.end(), Kind.BREAK)] if end_stop else []
        return say(reading, match.start(), end) + pause
    if letters.lower() == "phd":
        return [*spell("p", match.start()), *spell("h", match.start() + 1), *spell("d", match.end() - 2)]
    return spell(match[0], match.start())


def _roman(match: re.Match[str], context: Context) -> list[Piece] | None:
    previous = context.previous_word()
    numeral = match["roman"]
    if not numeral:
        return None
    if not previous[:1].isupper():
        # A numeral by itself, as before a heading; "IV" alone is a drip.
        alone = len(numeral) > 1 and numeral != "IV"
        return say_match(cardinal(roman_value(numeral)), match) if alone else None
    lower = previous.lower()
    if len(numeral) == 1 and lower not in NUMBERED:
        follows = re.match(r"\s*(?:$|[,.;:!?)]|(?:of|was|and|is|had)\b)", context.following(match.end()))
        if lower not in REGNAL or not follows or numeral == "L":
            return None
    value = roman_value(numeral)
    if value == 0 or (lower not in REGNAL and lower not in NUMBERED and len(numeral) < 2):
        return None
    return say_match(f"the {ordinal(value)}" if lower in REGNAL else cardinal(value), match)


def _language(match: re.Match[str], _: Context) -> list[Piece] | None:
    name = "sharp" if match[0].endswith("#") else "plus plus"
    return spell(match[0][0], match.start()) + say(name, match.start() + 1, match.end())


def _ampersand(match: re.Match[str], _: Context) -> list[Piece] | None:
    """ "AT&T", "R&D": letters on both sides."""
    first, second = (spell(match[name], match.start(name)) for name in ("first", "second"))
    return first + say_match("and", match, "and") + second


def _named_version(match: re.Match[str], _: Context) -> list[Piece] | None:
    words = " point ".join(whole(part) for part in match["number"].split("."))
    return say_match("version", match, "v") + say_match(words, match, "number")


def _unit_after_number(match: re.Match[str], context: Context) -> list[Piece] | None:
    unit = match["unit"]
    if not context.previous_word()[-1:].isdigit() or unit not in UNITS or unit in ATTACHED:
        return None
    if match["per"] and match["per"] not in UNITS:
        return None
    power = f"{POWERS[match['power']]} " if match["power"] else ""
    per = f" per {UNITS[match['per']][0]}" if match["per"] else ""
    return say_match(f"{power}{UNITS[unit][1]}{per}", match)


def _address_reader(known: Known) -> Callable[[re.Match[str], Context], list[Piece]]:
    """Reads e-mail addresses and URLs: parts as words, separators by name; the scheme is not said."""

    def read(match: re.Match[str], _: Context) -> list[Piece]:
        text, begin = match["address"], match.start("address")
        stripped = text.rstrip(".,;:!?/")
        pieces: list[Piece] = []
        for token in re.finditer(r"[^\W_]+|[^\w\s]|_", stripped):
            start = begin + token.start()
            if token[0].isalnum():
                pieces += spell(token[0], start) if token[0].lower() == "www" else parts(token[0], start, known)
            elif token[0] in _SEPARATORS:
                pieces += say(_SEPARATORS[token[0]], start, start + 1)
        return pieces

    return read


def _hashtag_reader(known: Known) -> Callable[[re.Match[str], Context], list[Piece]]:
    def read(match: re.Match[str], _: Context) -> list[Piece]:
        mark = say("hashtag" if match["mark"] == "#" else "at", match.start(), match.start() + 1)
        return mark + parts(match["tag"], match.start("tag"), known)

    return read


def readers(known: Known) -> tuple[Reader, ...]:
    """Readers of written forms, tried in order where a letter, "#" or "@" begins a token."""
    return (
        (re.compile(r"(?:https?://)(?P<address>[^\s<>\"]{1,300})", re.I), _address_reader(known)),
        (re.compile(r"(?P<address>www\.[^\s<>\"]{1,300})", re.I), _address_reader(known)),
        (re.compile(r"(?P<address>[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4})"), _address_reader(known)),
        (
            re.compile(
                rf"(?P<address>[A-Za-z0-9-]{{2,63}}(?:\.[A-Za-z0-9-]{{1,63}}){{0,3}}\.{_TLD}\b(?:/[^\s<>\"]{{0,200}})?)(?!\.?\w)"
            ),
            _address_reader(known),
        ),
        (re.compile(r"(?P<mark>[#@])(?P<tag>\w{1,64})"), _hashtag_reader(known)),
        (re.compile(r"C\+\+|[CF]#(?!\w)"), _language),
        (re.compile(r"(?P<first>[A-Z]{1,3})(?P<and>&)(?P<second>[A-Z]{1,3})(?!\w)"), _ampersand),
        (re.compile(r"(?P<v>[vV])(?P<number>\d{1,9}(?:\.\d{1,9}){1,8})(?!\w)"), _named_version),
        (
            re.compile(
                r"(?:[A-Za-z]\.){2,6}(?![A-Za-z])|(?:[A-Z]\.\s){1,4}[A-Z]\.(?!\w)|[Pp]h\.[Dd]\.|[ei]\.[ge]\b\.?|w/o?(?=\s)"
            ),
            _dotted,
        ),
        (re.compile(r"(?P<word>[Dd]r|[Ss]t)(?P<stop>\.?)(?![\w'])"), _dr),
        (re.compile(r"(?P<word>[Nn]os?)\.(?=\s?\d)"), _number_word),
        (re.compile(r"(?P<word>[A-Za-z]{1,6})(?P<stop>\.?)(?![\w'])"), _abbreviation),
        (_ROMAN, _roman),
        (re.compile(rf"{UNIT}"), _unit_after_number),
    )

"""Figures that are not amounts: ordinals, fractions, ranges, versions, telephone numbers, years and plain numbers."""

# ruff: noqa: RUF001 - look-alike characters are this file's subject

from __future__ import annotations

import re
from typing import Final

from voiceclone.text.amounts import NUMBER, signed
from voiceclone.text.numbers import MAX_DIGITS, cardinal, decimal, digits, ordinal, plural, whole, year
from voiceclone.text.reading import Context, Kind, Piece, Reader, say, say_match, spell
from voiceclone.text.wordlists import CODED, DATING, PAIRED

#: Written like fractions, said as two numbers.
_PAIRS: Final = frozenset(("24/7", "9/11", "50/50", "20/20", "7/11", "50-50"))
_FRACTION_PARTS: Final = {2: ("half", "halves"), 4: ("quarter", "quarters")}


def _ordinal(match: re.Match[str], _: Context) -> list[Piece] | None:
    figures = match["figures"].replace(",", "")
    if len(figures) > MAX_DIGITS:
        return None
    return say_match(ordinal(int(figures)) + ("s" if match["plural"] else ""), match)


def _fraction(match: re.Match[str], _: Context) -> list[Piece] | None:
    top, bottom = int(match["top"]), int(match["bottom"])
    pair = f"{match['top']}/{match['bottom']}"
    start = match.start("top")
    if pair in _PAIRS:
        words = f"{cardinal(top)} {cardinal(bottom)}"
    elif bottom == 0 or top == 0 or bottom > 100 or (top >= bottom and "⁄" not in match["bar"]):
        words = f"{whole(match['top'])} over {whole(match['bottom'])}"
    else:
        one, many = _FRACTION_PARTS.get(bottom) or (ordinal(bottom), f"{ordinal(bottom)}s")
        words = f"{cardinal(top)} {one if top == 1 else many}"
        if match["whole"]:
            words = f"and {'a ' + one if top == 1 else words}"
    if not match["whole"]:
        return say(signed(match["sign"], "0").removesuffix("zero") + words, match.start(), match.end())
    return say(signed(match["sign"], match["whole"]), match.start(), match.end("whole")) + say(
        words, start, match.end()
    )


def _range(match: re.Match[str], _: Context) -> list[Piece] | None:
    """ "10-20" is "ten to twenty"; the word "to" is made by the dash."""
    first, second = match["first"], match["second"]
    if match[0] in _PAIRS:
        return say_match(cardinal(int(first)), match, "first") + say_match(cardinal(int(second)), match, "second")
    spaced = " " in match[0]
    if len(first) > 6 or len(second) > 6 or (spaced and match["dash"] == "-"):
        return None
    years = len(first) == 4 and len(second) in (2, 4) and first.isdigit() and 1000 <= int(first) < 2100
    if years:
        short = cardinal(int(second)) if second[0] != "0" else f"oh {cardinal(int(second))}"
        words = (year(int(first)), year(int(second)) if len(second) == 4 else short)
    else:
        words = (decimal(first), decimal(second))
    return say_match(words[0], match, "first") + say_match("to", match, "dash") + say_match(words[1], match, "second")


def _ratio(match: re.Match[str], _: Context) -> list[Piece] | None:
    return (
        say_match(whole(match["first"]), match, "first")
        + say_match("to", match, "colon")
        + say_match(whole(match["second"]), match, "second")
    )


def _by(match: re.Match[str], _: Context) -> list[Piece] | None:
    return (
        say_match(_plain_words(match["first"]), match, "first")
        + say_match("by", match, "by")
        + say_match(_plain_words(match["second"]), match, "second")
    )


def _version(match: re.Match[str], _: Context) -> list[Piece] | None:
    """ "1.2.3" and "192.168.0.1": every dot is said."""
    pieces: list[Piece] = []
    position = match.start()
    for index, part in enumerate(match[0].split(".")):
        if index:
            pieces += say("point" if match[0].count(".") == 2 else "dot", position - 1, position)
        pieces += say(whole(part), position, position + len(part))
        position += len(part) + 1
    return pieces


def _telephone(match: re.Match[str], _: Context) -> list[Piece] | None:
    """Digit by digit, with a short pause between groups."""
    pieces: list[Piece] = []
    for group in re.finditer(r"\d+|\+", match[0]):
        begin, end = match.start() + group.start(), match.start() + group.end()
        if pieces and pieces[-1].text != "plus":
            pieces.append(Piece(",", pieces[-1].end, begin, Kind.BREAK))
        pieces += say("plus" if group[0] == "+" else digits(group[0]), begin, end)
    return pieces


def _number_sign(match: re.Match[str], _: Context) -> list[Piece] | None:
    return say_match("number", match, "mark") + say_match(decimal(match["number"]), match, "number")


def _mixed(match: re.Match[str], _: Context) -> list[Piece] | None:
    """Figures run into letters, "3D", "4K", "1080p": the figures, then the letters by name."""
    letters = match["letters"]
    if len(letters) > 3:
        return None
    figures = match["figures"]
    words = year(int(figures)) if letters == "p" and len(figures) == 4 else _plain_words(figures)
    pieces = say_match(words, match, "figures")
    if letters in ("s", "'s"):
        return say(plural(words), match.start(), match.end())
    return pieces + spell(letters, match.start("letters"))


def _plain(match: re.Match[str], context: Context) -> list[Piece] | None:
    number = match["number"]
    if match["sign"] or not number.isdigit():
        return say_match(signed(match["sign"], number), match)
    before = context.previous_word().lower()
    if number == "911" or (len(number) > 3 and before in CODED):
        words = digits(number)
    elif len(number) == 3 and before in PAIRED:
        words = _paired(number)
    elif len(number) == 4 and before in DATING:
        words = year(int(number))
    else:
        words = _plain_words(number)
    return say_match(words, match)


def _paired(figures: str) -> str:
    """Three figures as a room or flight number: 101 "one oh one", 370 "three seventy"."""
    first, rest = digits(figures[0]), int(figures[1:])
    if rest == 0:
        return whole(figures)
    return f"{first} {cardinal(rest) if rest >= 10 else f'oh {cardinal(rest)}'}"


def _scientific(match: re.Match[str], _: Context) -> list[Piece] | None:
    power = signed(match["power_sign"], match["power"])
    return say_match(f"{signed(match['sign'], match['number'])} times ten to the {power}", match)


def _spaced_thousands(match: re.Match[str], _: Context) -> list[Piece] | None:
    """ "1 000 000", where the blanks cannot part two numbers."""
    groups = match[0].split()
    if len(groups) < 3 and groups[1] != "000":
        return None
    return say_match(whole("".join(groups)), match)


def _plain_words(figures: str) -> str:
    """Four figures are read as a year where they may be one."""
    value = int(figures) if figures.isdigit() and len(figures) == 4 else 0
    return year(value) if 1100 <= value < 2100 and value != 2000 else decimal(figures)


_GROUP: Final = r"[\s.-]"
READERS: Final[tuple[Reader, ...]] = (
    (
        re.compile(
            rf"(?:\+?\d{{1,3}}{_GROUP})?\(?\d{{3}}\)?{_GROUP}?\d{{3}}-\d{{4}}(?![\w-])|\d{{3}}-\d{{4}}(?![\w-])"
            rf"|\+\d{{1,3}}(?:{_GROUP}\(?\d{{2,8}}\)?){{2,5}}(?!\w)|0\d{{2,4}}\s\d{{3,4}}\s\d{{3,4}}(?!\w)"
        ),
        _telephone,
    ),
    (
        re.compile(r"(?P<figures>\d{1,3}(?:,\d{3}){1,5}|\d{1,18})(?:st|nd|rd|th|ST|ND|RD|TH)(?P<plural>s?)(?!\w)"),
        _ordinal,
    ),
    (
        re.compile(
            r"(?P<sign>[-+±~≈]?)(?:(?P<whole>\d{1,9})[ -])?\s?"
            r"(?P<top>\d{1,3})(?P<bar>[/⁄])(?P<bottom>\d{1,4})(?![\w/⁄]|\.\d)"
        ),
        _fraction,
    ),
    (
        re.compile(rf"(?P<sign>[-+±~≈]?)(?P<number>{NUMBER})[eE](?P<power_sign>[-+]?)(?P<power>\d{{1,3}})(?!\w)"),
        _scientific,
    ),
    (re.compile(r"[1-9]\d{0,2}(?: \d{3}){1,5}(?![\w]| \d)"), _spaced_thousands),
    (re.compile(r"\d{1,9}(?:\.\d{1,9}){2,8}(?![\w])"), _version),
    (re.compile(rf"(?P<first>{NUMBER})\s?(?P<dash>–|-)\s?(?P<second>{NUMBER})(?![\w-]|\.\d)"), _range),
    (re.compile(r"(?P<first>\d{1,4})(?P<colon>:)(?P<second>\d{1,4})(?![\w:])"), _ratio),
    (re.compile(rf"(?P<first>{NUMBER})\s?(?P<by>[x×])\s?(?P<second>{NUMBER})(?!\w)"), _by),
    (re.compile(rf"(?P<mark>#|§)\s?(?P<number>{NUMBER})(?!\w)"), _number_sign),
    (re.compile(r"(?P<figures>\d{1,9})(?P<letters>'?[A-Za-z]{1,3})(?!\w)"), _mixed),
    (re.compile(rf"(?P<sign>[-+±~≈]?)(?P<number>{NUMBER})"), _plain),
)

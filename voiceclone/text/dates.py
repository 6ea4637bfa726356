"""Dates and times of day, in figures and with month names."""

from __future__ import annotations

import re
from typing import Final

from voiceclone.text.numbers import cardinal, ordinal, plural, year
from voiceclone.text.reading import Context, Piece, Reader, say, say_match, spell

MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_SHORT: Final = {name[:3]: name for name in MONTHS} | {"sept": "september"}
_MONTH: Final = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)"
)
_MERIDIEM: Final = r"(?:\s?(?P<meridiem>[AaPp]\.?[Mm](?:\.(?!\s*$)|\b)))"


def month_name(written: str) -> str:
    """The full lower-case name of a month from any of its written forms."""
    word = written.lower().rstrip(".")
    return _SHORT.get(word, word)


def _date_words(month: int, day: int, year_text: str) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    words = f"{MONTHS[month - 1]} {ordinal(day)}"
    return f"{words} {_year_words(year_text)}" if year_text else words


def _year_words(text: str) -> str:
    if len(text) == 2:
        return f"oh {cardinal(int(text))}" if text[0] == "0" else cardinal(int(text))
    return year(int(text))


def _iso(match: re.Match[str], _: Context) -> list[Piece] | None:
    words = _date_words(int(match["month"]), int(match["day"]), match["year"])
    return say_match(words, match) if words else None


def _slashed(match: re.Match[str], _: Context) -> list[Piece] | None:
    """Month first, as Americans write, unless only the other order makes a date; dots are day first."""
    first, second = int(match["first"]), int(match["second"])
    if match["separator"] == "." and len(match["year"]) == 2:
        return None  # a version
    month, day = (second, first) if match["separator"] == "." or (first > 12 >= second) else (first, second)
    words = _date_words(month, day, match["year"])
    return say_match(words, match) if words else None


def _month_day(match: re.Match[str], _: Context) -> list[Piece] | None:
    """ "March 4th, 2021": three stretches, each with its own span; the comma stays for the next reading."""
    pieces = say_match(month_name(match["month"]), match, "month")
    day = int(match["day"])
    if not 1 <= day <= 31:
        return None
    pieces += say(ordinal(day), match.start("day"), _day_end(match))
    if match["year"]:
        pieces += say_match(year(int(match["year"])), match, "year")
    return pieces


def _day_month(match: re.Match[str], context: Context) -> list[Piece] | None:
    """ "4 March 2021" is "the fourth of March"; after "the" no second one is said."""
    day = int(match["day"])
    if not 1 <= day <= 31 or (match["month"] == "May" and match["suffix"] is None and match["year"] is None):
        return None
    the = "" if context.previous_word().lower() == "the" else "the "
    pieces = say(f"{the}{ordinal(day)} of", match.start(), _day_end(match))
    pieces += say_match(month_name(match["month"]), match, "month")
    if match["year"]:
        pieces += say_match(year(int(match["year"])), match, "year")
    return pieces


def _day_end(match: re.Match[str]) -> int:
    return match.end("suffix") if match["suffix"] else match.end("day")


def _month_year(match: re.Match[str], _: Context) -> list[Piece] | None:
    return say_match(month_name(match["month"]), match, "month") + say_match(year(int(match["year"])), match, "year")


def _clock(match: re.Match[str], _: Context) -> list[Piece] | None:
    hour, minute = int(match["hour"]), int(match["minute"])
    if hour > 24 or minute > 59:
        return None
    words = cardinal(hour)
    if match["second"]:
        second = int(match["second"])
        words += f" {_two_digits(minute)} and {cardinal(second)} second{'' if second == 1 else 's'}"
    elif minute:
        words += f" {_two_digits(minute)}"
    elif not match["meridiem"]:
        words += " o'clock" if 1 <= hour <= 12 else " hundred"
    return say(words, match.start(), match.end("minute")) + _meridiem(match)


def _hour(match: re.Match[str], _: Context) -> list[Piece] | None:
    if not 1 <= int(match["hour"]) <= 12:
        return None
    return say_match(cardinal(int(match["hour"])), match, "hour") + _meridiem(match)


def _two_digits(minute: int) -> str:
    return cardinal(minute) if minute >= 10 else f"oh {cardinal(minute)}"


def _meridiem(match: re.Match[str]) -> list[Piece]:
    return spell(match["meridiem"], match.start("meridiem")) if match["meridiem"] else []


def _decade(match: re.Match[str], _: Context) -> list[Piece] | None:
    """ "1980s" and "'80s" and "1800s"."""
    figures = match["figures"]
    if len(figures) == 2:
        return say_match(plural(cardinal(int(figures))), match) if figures != "00" else None
    hundreds = figures.endswith("00") and figures != "2000"
    words = f"{cardinal(int(figures[:2]))} hundred" if hundreds else year(int(figures))
    return say_match(plural(words), match)


def _short_year(match: re.Match[str], _: Context) -> list[Piece] | None:
    """ "'99" is "ninety nine"."""
    return say_match(_year_words(match["figures"]), match)


def _era(match: re.Match[str], _: Context) -> list[Piece] | None:
    value = int(match["year"])
    words = year(value) if 1000 <= value <= 2099 else cardinal(value)
    return say_match(words, match, "year") + spell(match["era"], match.start("era"))


_YEAR4: Final = r"(?P<year>\d{4})(?![\w/:-]|\.\d|,\d)"
_DAY: Final = r"(?P<day>\d{1,2})"
_SLASHED: Final = r"(?P<first>\d{1,2})(?P<separator>[/.-])(?P<second>\d{1,2})(?P=separator)(?P<year>\d{4}|\d{2})"
_NO_COUNT: Final = r"(?![\w:/%]|[.,]\d|\s?[AaPp]\.?[Mm]\b)"
READERS: Final[tuple[Reader, ...]] = (
    (re.compile(rf"(?P<year>\d{{4}})-(?P<month>\d{{1,2}})-{_DAY}(?![\w-])"), _iso),
    (re.compile(rf"(?P<year>\d{{4}})/(?P<month>\d{{1,2}})/{_DAY}(?![\w/])"), _iso),
    (re.compile(rf"{_SLASHED}(?![\w/-]|\.\d)"), _slashed),
    (re.compile(rf"(?P<hour>\d{{1,2}}):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?![\d:]){_MERIDIEM}?"), _clock),
    (re.compile(rf"(?P<hour>\d{{1,2}}){_MERIDIEM}"), _hour),
    (re.compile(rf"{_DAY}(?P<suffix>st|nd|rd|th)?\s(?P<month>{_MONTH})\b\.?(?:,?\s{_YEAR4})?"), _day_month),
    (re.compile(r"(?P<figures>\d{3}0)'?s(?!\w)"), _decade),
    (re.compile(r"'?(?P<figures>[2-9]0)'?s(?!\w)"), _decade),
    (re.compile(r"'(?P<figures>\d\d)(?![\w'])"), _short_year),
    (re.compile(r"(?P<year>\d{1,4})\s(?P<era>BC|AD|BCE|CE)\b"), _era),
)

#: Tried where a word begins.
WORD_READERS: Final[tuple[Reader, ...]] = (
    (re.compile(rf"(?P<month>{_MONTH})\b\.?\s{_DAY}(?P<suffix>st|nd|rd|th)?{_NO_COUNT}(?:\s{_YEAR4})?"), _month_day),
    (re.compile(rf"(?P<month>{_MONTH})\b\.?\s{_YEAR4}"), _month_year),
)

"""Amounts of something: money, percentages, degrees, units of measure and counts with a magnitude."""

from __future__ import annotations

import re
from typing import Final

from voiceclone.text.numbers import cardinal, decimal, whole
from voiceclone.text.reading import Context, Piece, Reader, say_match
from voiceclone.text.units import ATTACHED, CURRENCIES, CURRENCY_CODES, UNITS

_MAGNITUDES: Final[dict[str, str]] = {
    "k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million", "bn": "billion", "b": "billion",
    "B": "billion", "tn": "trillion", "T": "trillion", "thousand": "thousand", "million": "million",
    "billion": "billion", "trillion": "trillion",
}  # fmt: skip

#: Figures after a unit.
POWERS: Final = {"2": "square", "²": "square", "3": "cubic", "³": "cubic"}

#: A plain number: digits with or without thousands commas, with or without a decimal part.
NUMBER: Final = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_SIGN: Final = r"(?P<sign>[-+±~≈]?)"
_SIGNS: Final = {"": "", "-": "minus ", "+": "plus ", "±": "plus or minus ", "~": "about ", "≈": "about "}
_MAGNITUDE: Final = r"(?:\s?(?P<magnitude>thousand|million|billion|trillion|mn|bn|tn|[kKmMbBT]))?(?![A-Za-z])"


def signed(sign: str, number: str) -> str:
    """A number with its sign in words."""
    return _SIGNS[sign] + decimal(number)


def _is_one(number: str) -> bool:
    return number in ("1", "1.0")


def _currency_words(sign: str, number: str, magnitude: str, names: tuple[str, str, str, str]) -> str:
    one, many, cent, cents = names
    if magnitude:
        return f"{signed(sign, number)} {_MAGNITUDES[magnitude]} {many}"
    before, _, after = number.partition(".")
    if len(after) != 2 or not cent:
        return f"{signed(sign, number)} {one if _is_one(number) else many}"
    minor = int(after)
    main = f"{_SIGNS[sign]}{whole(before or '0')} {one if before == '1' else many}"
    if minor == 0:
        return main
    if before.strip("0,") == "":
        return f"{_SIGNS[sign]}{cardinal(minor)} {cent if minor == 1 else cents}"
    if minor < 10:
        return f"{main} and {cardinal(minor)} {cent if minor == 1 else cents}"
    return f"{main} {cardinal(minor)}"


def _money(match: re.Match[str], _: Context) -> list[Piece] | None:
    symbol = match["symbol"].strip()
    names = CURRENCY_CODES.get(symbol) or CURRENCIES[symbol[-1]]
    number = match["number"]
    if number[-3:-2] == ",":
        number = f"{number[:-3]}.{number[-2:]}"  # a decimal comma
    words = _currency_words(match["sign"] or match["inner"] or "", number, match["magnitude"] or "", names)
    return say_match(f"{words} per" if match["per"] else words, match)


def _cents(match: re.Match[str], _: Context) -> list[Piece] | None:
    return say_match(f"{signed('', match['number'])} {'cent' if _is_one(match['number']) else 'cents'}", match)


def _percent(match: re.Match[str], _: Context) -> list[Piece] | None:
    name = "percent" if match["mark"] == "%" else "per mille"
    return say_match(f"{signed(match['sign'], match['number'])} {name}", match)


def _degrees(match: re.Match[str], _: Context) -> list[Piece] | None:
    scale = {"C": " celsius", "F": " fahrenheit", None: ""}[match["scale"]]
    name = "degree" if _is_one(match["number"]) else "degrees"
    return say_match(f"{signed(match['sign'], match['number'])} {name}{scale}", match)


def _feet_inches(match: re.Match[str], _: Context) -> list[Piece] | None:
    return say_match(f"{decimal(match['feet'])} foot {decimal(match['inches'])}", match)


def _unit(match: re.Match[str], _: Context) -> list[Piece] | None:
    names = UNITS.get(match["unit"])
    if names is None or (match["hyphen"].isspace() and match["unit"] in ATTACHED):
        return None
    number, power = match["number"], match["power"]
    name = names[0] if _is_one(number) or match["hyphen"] == "-" else names[1]
    words = f"{signed(match['sign'], number)} {POWERS[power] + ' ' if power else ''}{name}"
    if match["per"]:
        if match["per"] not in UNITS:
            return None
        words += f" per {UNITS[match['per']][0]}"
    return say_match(words, match)


def _magnitude(match: re.Match[str], _: Context) -> list[Piece] | None:
    if match[0] in ("4K", "8K"):  # screens, not counts
        return None
    return say_match(f"{signed(match['sign'], match['number'])} {_MAGNITUDES[match['magnitude']]}", match)


_CODE: Final = "|".join(CURRENCY_CODES)
_SYMBOL: Final = "[" + "".join(CURRENCIES) + "]"
_COUNT: Final = rf"(?P<number>{NUMBER})"
#: A unit, its power and what it is per.
UNIT: Final = (
    r"(?P<unit>sq ft|[A-Za-zµΩ]{1,4})(?P<power>[23²³])?(?:/(?P<per>[A-Za-zµ]{1,4}))?(?![\w/])(?:\.(?=[,;]|\s[a-z]))?"
)
_PRICE: Final = rf"(?P<number>\d{{1,9}},\d\d(?![\d,])|{NUMBER})"
READERS: Final[tuple[Reader, ...]] = (
    (
        re.compile(
            rf"(?P<sign>[-+~≈]?)(?P<symbol>(?:US|CA|AU|NZ|HK)?{_SYMBOL}|(?:{_CODE})\s)(?P<inner>[-+]?)\s?"
            rf"{_PRICE}{_MAGNITUDE}(?P<per>/(?=[a-z]))?"
        ),
        _money,
    ),
    (
        re.compile(
            rf"{_SIGN}{_PRICE}{_MAGNITUDE}\s?(?P<symbol>{_SYMBOL}|(?:{_CODE})\b)(?!\s?\.?\d)(?P<inner>)"
            r"(?P<per>/(?=[a-z]))?"
        ),
        _money,
    ),
    (re.compile(rf"{_COUNT}\s?¢"), _cents),
    (re.compile(rf"{_SIGN}{_COUNT}\s?(?P<mark>[%‰])"), _percent),
    (re.compile(rf"{_SIGN}{_COUNT}\s?°\s?(?P<scale>[CF]\b)?"), _degrees),
    (re.compile(r"(?P<feet>\d{1,2})'\s?(?P<inches>\d{1,2})\""), _feet_inches),
    (re.compile(rf"{_SIGN}{_COUNT}(?P<hyphen>[\s-]?){UNIT}"), _unit),
    (re.compile(rf"{_SIGN}{_COUNT}(?P<magnitude>[kKM]|bn|mn)(?!\w)"), _magnitude),
)

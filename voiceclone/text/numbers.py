"""Numbers as English words, the American way: no "and", no hyphens, no commas."""

from __future__ import annotations

from typing import Final

_ONES: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS: Final = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES: Final = ("", "thousand", "million", "billion", "trillion", "quadrillion")
_ORDINALS: Final = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip

#: Longer whole numbers are read digit by digit: nobody follows eleven scale words.
MAX_DIGITS: Final = 18


def digits(text: str) -> str:
    """Each digit of ``text`` as a word; other characters are skipped."""
    return " ".join(_ONES[int(char)] for char in text if char.isdigit())


def cardinal(number: int) -> str:
    """``number`` in words: 1234 is "one thousand two hundred thirty four"; beyond :data:`MAX_DIGITS` digit by digit."""
    if number < 0:
        return f"minus {cardinal(-number)}"
    if number >= 10**MAX_DIGITS:
        return digits(str(number))
    if number == 0:
        return _ONES[0]
    words: list[str] = []
    scale = 0
    while number:
        number, group = divmod(number, 1000)
        if group:
            words = [*_below_thousand(group), *([_SCALES[scale]] if scale else []), *words]
        scale += 1
    return " ".join(words)


def whole(text: str) -> str:
    """A run of ASCII digits and thousands commas in words; leading zeros and very long runs digit by digit."""
    text = text.replace(",", "")
    if len(text) > MAX_DIGITS or (len(text) > 1 and text[0] == "0"):
        return digits(text)
    return cardinal(int(text))


def decimal(text: str) -> str:
    """An unsigned decimal in words: "3.14" is "three point one four", ".5" is "point five"."""
    before, _, after = text.partition(".")
    words = [whole(before)] if before else []
    return " ".join(words + (["point", digits(after)] if after else []))


def ordinal(number: int) -> str:
    """``number`` as an ordinal: 21 is "twenty first"."""
    *head, last = cardinal(number).split()
    if last in _ORDINALS:
        last = _ORDINALS[last]
    elif last.endswith("y"):
        last = f"{last[:-1]}ieth"
    else:
        last = f"{last}th"
    return " ".join([*head, last])


def year(number: int) -> str:
    """``number`` as a year: 1999 "nineteen ninety nine", 1905 "nineteen oh five", 2005 "two thousand five"."""
    century, rest = divmod(number, 100)
    if not 1000 <= number <= 9999 or number % 1000 < 10:
        return cardinal(number)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {cardinal(rest) if rest >= 10 else f'oh {_ONES[rest]}'}"


def plural(words: str) -> str:
    """The plural of a number's last word: "nineteen eighty" becomes "nineteen eighties"."""
    if words.endswith("y"):
        return f"{words[:-1]}ies"
    return f"{words}es" if words.endswith("x") else f"{words}s"


def _below_thousand(number: int) -> list[str]:
    hundreds, rest = divmod(number, 100)
    words = [_ONES[hundreds], "hundred"] if hundreds else []
    if rest < 20:
        return words + ([_ONES[rest]] if rest else [])
    return [*words, _TENS[rest // 10], *([_ONES[rest % 10]] if rest % 10 else [])]

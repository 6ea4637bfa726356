"""Number words agree with an independent speller, apart from its "and", hyphens and commas."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.text.numbers import cardinal, decimal, ordinal, plural, whole, year

num2words = pytest.importorskip("num2words").num2words


def bare(words: str) -> str:
    return " ".join(word for word in words.replace("-", " ").replace(",", "").split() if word != "and")


@given(st.integers(-(10**15), 10**15))
@settings(deadline=None)
def test_cardinal(number: int) -> None:
    assert cardinal(number) == bare(num2words(number))


@given(st.integers(0, 10**9))
@settings(deadline=None)
def test_ordinal(number: int) -> None:
    assert ordinal(number) == bare(num2words(number, to="ordinal"))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1000, "one thousand"), (1066, "ten sixty six"), (1900, "nineteen hundred"), (1905, "nineteen oh five"),
        (1999, "nineteen ninety nine"), (2000, "two thousand"), (2005, "two thousand five"), (2010, "twenty ten"),
        (2100, "twenty one hundred"), (476, "four hundred seventy six"),
    ],
)  # fmt: skip
def test_year(number: int, words: str) -> None:
    assert year(number) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("007", "zero zero seven"),
        ("1,234", "one thousand two hundred thirty four"),
        ("9" * 19, " ".join(["nine"] * 19)),
    ],
)
def test_whole(text: str, words: str) -> None:
    assert whole(text) == words


def test_decimal() -> None:
    assert [decimal("3.14"), decimal(".5"), decimal("0.05")] == [
        "three point one four",
        "point five",
        "zero point zero five",
    ]


def test_plural() -> None:
    assert [plural("eighty"), plural("six"), plural("nineteen hundred")] == ["eighties", "sixes", "nineteen hundreds"]

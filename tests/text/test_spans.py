"""Spans name the characters, as they were sent, that each word was made of."""

# ruff: noqa: RUF001 - look-alike characters are what is tested

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voiceclone.text.english import EnglishFrontend

#: What people and attackers write: words, figures, marks, symbols, and any character at all.
FRAGMENTS = """
    the Dr. St. $3.50 3/4/2021 3:45 pm 1st Henry VIII 5 km 10% NASA GPUs don't e.g. a.m. x@y.com #Tag — … 😀 naïve 1/2
    2½ 10-20 -5 555-123-4567 ( ) " ' , . ! ? ; :
"""
TEXT = st.lists(
    st.one_of(st.sampled_from([*FRAGMENTS.split(), "\n", "\t"]), st.text(max_size=8), st.characters()), max_size=20
).map(" ".join)
WORDS = ("cat", "dog", "house", "tree", "river", "stone", "bird")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Dr. Smith paid $3.50 on 3/4/2021.",
            [
                ("doctor", "Dr."), ("smith", "Smith"), ("paid", "paid"), ("three", "$3.50"), ("dollars", "$3.50"),
                ("fifty", "$3.50"), ("on", "on"), ("march", "3/4/2021"), ("fourth", "3/4/2021"),
                ("twenty", "3/4/2021"), ("twenty", "3/4/2021"), ("one", "3/4/2021"),
            ],
        ),
        ("March 4th", [("march", "March"), ("fourth", "4th")]),
        ("the FBI's", [("the", "the"), ("f", "F"), ("b", "B"), ("i's", "I's")]),
        ("10–20", [("ten", "10"), ("to", "–"), ("twenty", "20")]),
        ("\u202ehi\u202c 😀 cafe\u0301!", [("hi", "hi"), ("cafe", "cafe\u0301")]),
        ("a“hé”b", [("a", "a"), ("he", "hé"), ("b", "b")]),
        ("2½", [("two", "2"), ("and", "½"), ("a", "½"), ("half", "½")]),
        ("x@y.com", [("x", "x"), ("at", "@"), ("y", "y"), ("dot", "."), ("com", "com")]),
    ],
)  # fmt: skip
def test_span_of_each_word(frontend: EnglishFrontend, text: str, words: list[tuple[str, str]]) -> None:
    found = [
        (word.text, text[word.span.begin : word.span.end])
        for sentence in frontend.analyse(text)
        for word in sentence.words
        if not word.is_pause
    ]
    assert found == words


def test_span_of_pauses(frontend: EnglishFrontend) -> None:
    text = "Oh, well... no!"
    (sentence,) = frontend.analyse(text)
    pauses = [text[word.span.begin : word.span.end] for word in sentence.words if word.is_pause]
    assert pauses == ["", ",", "...", "!"]


@given(text=TEXT)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_spans_lie_in_order(frontend: EnglishFrontend, text: str) -> None:
    position = 0
    for sentence in frontend.analyse(text):
        assert position <= sentence.span.begin < sentence.span.end <= len(text)
        position = sentence.span.end
        words = sentence.words
        assert words[0].is_pause
        assert words[-1].is_pause
        assert any(not word.is_pause for word in words)
        before = (sentence.span.begin, sentence.span.begin)
        for word in words:
            begin, end = word.span.begin, word.span.end
            assert sentence.span.begin <= begin <= end <= sentence.span.end
            # Words are made by the same characters or by later ones; only words that share a reading overlap.
            assert before[0] <= begin
            assert begin >= before[1] or begin == before[0] or word.span.end == before[1]
            before = (begin, end)
            assert word.phones
            assert word.is_pause or end > begin


@given(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_ordinary_words_do_not_overlap(frontend: EnglishFrontend, words: list[str]) -> None:
    text = " ".join(words)
    found = [word for sentence in frontend.analyse(text) for word in sentence.words if not word.is_pause]
    assert [text[word.span.begin : word.span.end] for word in found] == words
    assert all(one.span.end < after.span.begin for one, after in pairwise(found))

"""Where sentences end."""

# ruff: noqa: RUF001 - look-alike characters are what is tested

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.text.sentences import split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four…", ["One.", "Two!", "Three?", "Four…"]),
        ("Dr. Smith met Mr. Jones. They left.", ["Dr. Smith met Mr. Jones.", "They left."]),
        ("It is 3.5 m. The end.", ["It is 3.5 m.", "The end."]),
        ("J. R. R. Tolkien wrote. He did.", ["J. R. R. Tolkien wrote.", "He did."]),
        ("The U.S. Army came. U.S. troops left.", ["The U.S. Army came.", "U.S. troops left."]),
        ("I live in the U.S. It is big.", ["I live in the U.S.", "It is big."]),
        ("At 5 p.m. The show starts.", ["At 5 p.m.", "The show starts."]),
        ("Cats, dogs, etc. are fine. Yes.", ["Cats, dogs, etc. are fine.", "Yes."]),
        ('"Stop!" he said. "Why?" "Because."', ['"Stop!" he said.', '"Why?"', '"Because."']),
        ("(All of it.) And more.", ["(All of it.)", "And more."]),
        ("Wait... what? Well... No.", ["Wait... what?", "Well...", "No."]),
        ("hello there. how are you? fine", ["hello there.", "how are you?", "fine"]),
        ("See example.com. It works.", ["See example.com.", "It works."]),
        ("The end.Next one.", ["The end.", "Next one."]),
        ("A list\n- one\n- two", ["A list", "- one", "- two"]),
        ("A line that was\nwrapped here.", ["A line that was\nwrapped here."]),
        ("A title\n\nand a text", ["A title", "and a text"]),
        ("你好。世界！真的？", ["你好。", "世界！", "真的？"]),
        ("क्या है। ठीक है।", ["क्या है।", "ठीक है।"]),
        ("  spaced  out .  ", ["spaced  out ."]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_split(text: str, sentences: list[str]) -> None:
    assert [text[span.begin : span.end] for span in split_sentences(text)] == sentences


def test_long_sentence_is_cut_at_clauses() -> None:
    clause = "and the river went on through the valley"
    text = ", ".join([clause] * 30) + "."
    pieces = [text[span.begin : span.end] for span in split_sentences(text, 300)]
    assert len(pieces) > 3
    assert all(len(piece) <= 300 for piece in pieces)
    assert all(piece.endswith(",") for piece in pieces[:-1])


def test_long_run_without_marks_is_cut_at_spaces() -> None:
    text = "word " * 200
    pieces = [text[span.begin : span.end] for span in split_sentences(text, 100)]
    assert all(len(piece) <= 100 and not piece.startswith("ord") for piece in pieces)


@given(text=st.text(max_size=300), max_chars=st.integers(5, 60))
@settings(deadline=None)
def test_spans_lose_only_white_space(text: str, max_chars: int) -> None:
    position = 0
    for span in split_sentences(text, max_chars):
        assert text[position : span.begin].strip() == ""
        assert span.begin < span.end <= span.begin + max_chars
        position = span.end
    assert text[position:].strip() == ""

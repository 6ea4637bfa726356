"""Text that wants to break or stall the frontend, and text with nothing to say."""

from __future__ import annotations

import random
import time

import pytest

from voiceclone.text.english import EnglishFrontend

SIZE = 10_000
_random = random.Random(7)
HOSTILE = {
    **{f"run of {unit!r}": (unit * SIZE)[:SIZE] for unit in (
        "1", "1.", "1,", "111,", "1-", "1/", "1:", "-1", "$1", ".1", "1 ", "1 1/2 ", "(1", "1x", "1a", "a1", "123 456 ",
        "a.", "A. ", "a'", "a-", "a@", "@", "#a", "www.", "http://", "x.com/", "Dr. ", "March ", "Chapter XIV ",
        "ABC ", "(", "'", "$", ".", "\n", " ", "?!", "Ab", "aaab", "I", "½", "\ufdfa", "你好。", "1\u0660", "e\u0301 ",
        "[a](", "\\",
    )},
    "one long word": "a" * 5000,
    "one long strange word": "supercalifragilistic" * 250,
    "combining marks": "a" + "\u0301" * SIZE,
    "bidi controls": "\u202e\u2066hi" * (SIZE // 4),
    "lone surrogates": "\ud800a\udfff" * (SIZE // 3),
    "family emoji": "👩‍👩‍👧‍👦" * (SIZE // 7),
    "every plane": "".join(chr(_random.randrange(0x110000)) for _ in range(SIZE)),
    "any ASCII": "".join(chr(_random.randrange(128)) for _ in range(SIZE)),
    "mixed scripts": "".join(_random.choice("aЖ你ع9अ-.,$ ") for _ in range(SIZE)),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_ends_soon(frontend: EnglishFrontend, name: str) -> None:
    begin = time.thread_time()
    sentences = frontend.analyse(HOSTILE[name])
    assert time.thread_time() - begin < 2
    assert all(word.phones for sentence in sentences for word in sentence.words)


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\n", "😀👍🏽", "...", "?!", "—", "\x00\x07\x1b", "\u202e\u200d\ufeff", "()[]{}", "***", "你好。", "_"],
)
def test_nothing_to_say(frontend: EnglishFrontend, text: str) -> None:
    assert frontend.analyse(text) == []


def test_cost_grows_with_length_not_its_square(frontend: EnglishFrontend) -> None:
    def cost(text: str) -> float:
        begin = time.thread_time()
        frontend.analyse(text)
        return time.thread_time() - begin

    for unit in ("1", " ", ".", "a.", "a'"):
        short = min(cost(unit * 2000) for _ in range(3))
        long = min(cost(unit * 20000) for _ in range(2))
        assert long < 30 * max(short, 0.002), unit

"""Word error rate: words of a text, edit distance, and the wrong-sentence control."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[a-z']+")


def words_of(text: str) -> list[str]:
    """Lower-case words of ``text`` without punctuation; apostrophes inside a word stay."""
    return [word for match in _WORD.findall(text.lower()) if (word := match.strip("'"))]


def edit_distance(expected: Sequence[Hashable], got: Sequence[Hashable]) -> int:
    """Fewest substitutions, deletions and insertions that turn ``expected`` into ``got``."""
    row = list(range(len(got) + 1))
    for i, want in enumerate(expected, start=1):
        diagonal, row[0] = row[0], i
        for j, have in enumerate(got, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (want != have))
    return row[-1]


@dataclass(frozen=True)
class WordScore:
    """One utterance: what was heard, and how many of its words are wrong."""

    id: str
    speaker: str
    text: str
    heard: str
    errors: int
    words: int


def score(id: str, speaker: str, text: str, heard: str) -> WordScore:
    """Compare what the recogniser heard with what was to be said."""
    expected = words_of(text)
    return WordScore(id, speaker, text, heard, edit_distance(expected, words_of(heard)), len(expected))


def wrong_sentence(scores: Sequence[WordScore]) -> list[WordScore]:
    """Each hypothesis scored against the next sentence of the same voice: near 1 unless the judge is cheating."""
    result = []
    for speaker in dict.fromkeys(entry.speaker for entry in scores):
        own = [entry for entry in scores if entry.speaker == speaker]
        for entry, other in zip(own, [*own[1:], *own[:1]], strict=True):
            result.append(score(entry.id, speaker, other.text, entry.heard))
    return result

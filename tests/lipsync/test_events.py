"""Words and durations to timing events."""

# ruff: noqa: RUF001 - look-alike characters are what is tested

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.lipsync.events import events_from_durations
from voiceclone.lipsync.visemes import VisemeSet, visemes_of
from voiceclone.text.phonemes import parse_phonemes
from voiceclone.types import PhoneticAlphabet, TextSpan, Timing, TimingKind, TimingSource

SENTENCE = parse_phonemes("həˈloʊ, wɜːld!", PhoneticAlphabet.IPA)
PHONES = len(SENTENCE.phones)


def of_kind(events: list[Timing], kind: TimingKind) -> list[Timing]:
    return [event for event in events if event.kind is kind]


def test_words_and_phonemes() -> None:
    events = events_from_durations(SENTENCE.words, [10] * PHONES, 100)
    words = [
        (event.label, event.start_sample, event.sample_count, event.span) for event in of_kind(events, TimingKind.WORD)
    ]
    assert words == [("həˈloʊ", 110, 40, TextSpan(0, 6)), ("wɜːld", 160, 40, TextSpan(8, 13))]
    phonemes = [event.label for event in of_kind(events, TimingKind.PHONEME)]
    assert phonemes == ["", "h", "ə", "l", "oʊ", "", "w", "ɝ", "l", "d", ""]


def test_word_comes_before_its_phonemes() -> None:
    events = events_from_durations(SENTENCE.words, [10] * PHONES, 0)
    assert [event.kind for event in events[:3]] == [TimingKind.PHONEME, TimingKind.WORD, TimingKind.PHONEME]


def test_source() -> None:
    events = events_from_durations(SENTENCE.words, [1] * PHONES, 0, TimingSource.ESTIMATE)
    assert {event.source for event in events} == {TimingSource.ESTIMATE}


@given(st.lists(st.integers(0, 5000), min_size=PHONES, max_size=PHONES), st.integers(0, 10**9))
@settings(deadline=None)
def test_phonemes_cover_the_samples_exactly(counts: list[int], start: int) -> None:
    events = events_from_durations(SENTENCE.words, counts, start)
    position = start
    for event in of_kind(events, TimingKind.PHONEME):
        assert event.start_sample == position
        position += event.sample_count
    assert position == start + sum(counts)
    for word in of_kind(events, TimingKind.WORD):
        assert start <= word.start_sample <= word.start_sample + word.sample_count <= position
    visemes = visemes_of(events, VisemeSet.OVR15)
    assert sum(event.sample_count for event in visemes) == sum(counts)


@pytest.mark.parametrize("counts", [[], [1] * (PHONES - 1), [1] * (PHONES + 1), [-1] + [1] * (PHONES - 1)])
def test_counts_that_do_not_fit(counts: list[int]) -> None:
    with pytest.raises(ValueError, match=r"[Ss]ample counts"):
        events_from_durations(SENTENCE.words, counts, 0)

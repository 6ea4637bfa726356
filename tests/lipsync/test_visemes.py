"""Phonemes to visemes: the table, and the events made by it."""

# ruff: noqa: RUF001 - look-alike characters are what is tested

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.lipsync.visemes import (
    VisemeSet,
    arkit_curves,
    arkit_weights,
    viseme_names,
    visemes_of,
    visemes_of_phoneme,
)
from voiceclone.text.phones import PHONES, ipa_label
from voiceclone.types import Timing, TimingKind, TimingSource

SETS = list(VisemeSet)


def phonemes(*pairs: tuple[str, int], start: int = 0) -> list[Timing]:
    events = []
    for label, count in pairs:
        events.append(Timing(TimingKind.PHONEME, start, count, label))
        start += count
    return events


def labels(events: list[Timing]) -> list[tuple[str, int, int]]:
    return [(event.label, event.start_sample, event.sample_count) for event in events]


@pytest.mark.parametrize("viseme_set", SETS)
def test_every_phone_has_visemes(viseme_set: VisemeSet) -> None:
    for phone in PHONES:
        names = visemes_of_phoneme(ipa_label(phone), viseme_set)
        assert names
        assert set(names) <= set(viseme_names(viseme_set))


@pytest.mark.parametrize(("viseme_set", "count"), list(zip(SETS, (15, 22, 9, 15), strict=True)))
def test_names_are_complete_and_all_reachable(viseme_set: VisemeSet, count: int) -> None:
    names = viseme_names(viseme_set)
    assert len(names) == len(set(names)) == count
    reached = {name for phone in PHONES for name in visemes_of_phoneme(ipa_label(phone), viseme_set)}
    assert reached == set(names)


def test_known_shapes() -> None:
    assert visemes_of_phoneme("m", VisemeSet.OVR15) == ("PP",)
    assert visemes_of_phoneme("m", VisemeSet.AZURE22) == ("21",)
    assert visemes_of_phoneme("m", VisemeSet.RHUBARB9) == ("A",)
    assert visemes_of_phoneme("f", VisemeSet.RHUBARB9) == ("G",)
    assert visemes_of_phoneme("aʊ", VisemeSet.OVR15) == ("aa", "ou")
    assert visemes_of_phoneme("", VisemeSet.RHUBARB9) == ("X",)


def test_arkit_weights() -> None:
    assert len(arkit_curves()) == len(set(arkit_curves())) == 52
    for name in viseme_names(VisemeSet.ARKIT52):
        assert set(arkit_weights(name)) <= set(arkit_curves())
        assert all(0 < weight <= 1 for weight in arkit_weights(name).values())
    assert arkit_weights("sil") == {}
    assert arkit_weights("aa")["jawOpen"] > arkit_weights("ih")["jawOpen"]
    with pytest.raises(KeyError):
        arkit_weights("zz")


def test_equal_neighbours_merge() -> None:
    events = visemes_of(phonemes(("", 10), ("p", 5), ("m", 7), ("ɑ", 20), ("", 3)), VisemeSet.OVR15)
    assert labels(events) == [("sil", 0, 10), ("PP", 10, 12), ("aa", 22, 20), ("sil", 42, 3)]
    assert [event.viseme_id for event in events] == [0, 1, 10, 0]
    assert {event.kind for event in events} == {TimingKind.VISEME}


def test_gaps_do_not_merge() -> None:
    two = [Timing(TimingKind.PHONEME, 0, 5, "p"), Timing(TimingKind.PHONEME, 9, 5, "p")]
    assert labels(visemes_of(two, VisemeSet.OVR15)) == [("PP", 0, 5), ("PP", 9, 5)]


def test_diphthong_moves_at_sixty_percent() -> None:
    assert labels(visemes_of(phonemes(("aʊ", 100)), VisemeSet.OVR15)) == [("aa", 0, 60), ("ou", 60, 40)]
    assert labels(visemes_of(phonemes(("aʊ", 1)), VisemeSet.OVR15)) == [("aa", 0, 1)]
    assert labels(visemes_of(phonemes(("aʊ", 100)), VisemeSet.AZURE22)) == [("9", 0, 100)]


def test_other_events_are_passed_over_and_source_is_kept() -> None:
    word = Timing(TimingKind.WORD, 0, 5, "p")
    phoneme = Timing(TimingKind.PHONEME, 0, 5, "p", source=TimingSource.ALIGNER)
    (event,) = visemes_of([word, phoneme], VisemeSet.OVR15)
    assert event.source is TimingSource.ALIGNER


@pytest.mark.parametrize(
    ("ipa", "name"), [("aː", "aa"), ("t͡ʃ", "CH"), ("n̩", "nn"), ("y", "ou"), ("☃", "E"), ("ɹ", "RR")]
)
def test_sounds_of_other_frontends(ipa: str, name: str) -> None:
    assert visemes_of_phoneme(ipa, VisemeSet.OVR15) == (name,)


def test_extra_entries() -> None:
    assert visemes_of_phoneme("☃", VisemeSet.OVR15, {"☃": "ou"}) == ("ou",)
    assert visemes_of_phoneme("☃", VisemeSet.OVR15, {"☃": ["aa", "ou"]}) == ("aa", "ou")
    assert visemes_of_phoneme("p", VisemeSet.OVR15, {"p": "aa"}) == ("PP",)
    with pytest.raises(ValueError, match="no viseme"):
        visemes_of_phoneme("☃", VisemeSet.OVR15, {"☃": "nope"})


@given(
    st.lists(st.tuples(st.sampled_from([ipa_label(phone) for phone in PHONES]), st.integers(0, 50)), max_size=30),
    st.sampled_from(SETS),
)
@settings(deadline=None)
def test_visemes_cover_the_phonemes_exactly(pairs: list[tuple[str, int]], viseme_set: VisemeSet) -> None:
    events = visemes_of(phonemes(*pairs, start=7), viseme_set)
    position = 7
    for event in events:
        assert event.start_sample == position
        assert event.sample_count > 0
        position += event.sample_count
    assert position == 7 + sum(count for _, count in pairs)
    assert all(one.label != after.label for one, after in pairwise(events))

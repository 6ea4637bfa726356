"""The tone backend passes the kit that any backend must pass, and follows the voice it was given."""

from __future__ import annotations

import numpy as np
import pytest

from voiceclone.errors import TextEmpty, VoiceIncompatible
from voiceclone.testing.conformance import BackendConformance
from voiceclone.testing.speaking import speak, vowel
from voiceclone.testing.tone import ToneModel, ToneOptions, median_pitch, read_voice
from voiceclone.types import Reference, TimingKind, Utterance


class TestTone(BackendConformance):
    """The whole kit on the tone model."""

    model = "tone"


@pytest.mark.parametrize("pitch", [90.0, 140.0, 220.0])
def test_the_pitch_of_the_reference_is_found(pitch: float) -> None:
    assert median_pitch(vowel(pitch)) == pytest.approx(pitch, rel=0.06)


def test_the_tone_follows_the_voice_and_the_option() -> None:
    model = ToneModel()
    voices = [model.encode_voice([vowel(pitch)]) for pitch in (100.0, 200.0)]
    assert [read_voice(voice)[0] for voice in voices] == pytest.approx([100, 200], rel=0.06)

    def spoken_pitch(voice: bytes, options: ToneOptions | None = None) -> float:
        audio = speak(model, Utterance("abcdefghijkl", voice, options=options)).audio
        return median_pitch(Reference(audio, 24_000))

    assert spoken_pitch(voices[1]) / spoken_pitch(voices[0]) == pytest.approx(2.0, rel=0.1)
    assert spoken_pitch(voices[0], ToneOptions(frequency=300)) == pytest.approx(300, rel=0.15)


def test_words_and_letters_are_timed_where_they_sound() -> None:
    model = ToneModel()
    text = "Hi, you!"
    spoken = speak(model, Utterance(text, model.encode_voice([vowel()])))
    words = [timing for timing in spoken.timings if timing.kind is TimingKind.WORD]
    assert [(word.label, text[word.span.begin : word.span.end]) for word in words if word.span] == [
        ("Hi", "Hi"),
        ("you", "you"),
    ]
    letters = [timing.label for timing in spoken.timings if timing.kind is TimingKind.PHONEME]
    assert letters == ["h", "i", "j", "o", "u"]
    for word in words:
        inside = spoken.audio[word.start_sample : word.start_sample + word.sample_count]
        after = spoken.audio[word.start_sample + word.sample_count :][:100]
        assert np.abs(inside).max() > 0.05
        assert np.abs(after).max() < 1e-6


def test_text_without_a_word_is_refused_before_any_work() -> None:
    model = ToneModel()
    with pytest.raises(TextEmpty):
        model.open(Utterance(" ... ", model.encode_voice([vowel()])))
    with pytest.raises(VoiceIncompatible):
        model.open(Utterance("hello", b"junk"))

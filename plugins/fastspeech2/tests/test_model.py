"""The bundled weights through the backend: voices, controls, timings and chunks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import soxr
from voiceclone_fastspeech2.model import Fastspeech2Model
from voiceclone_fastspeech2.options import Fastspeech2Options

from voiceclone import Chunk, Reference, TimingKind, Utterance
from voiceclone.errors import (
    LanguageUnsupported,
    PhonemesInvalid,
    SampleNotFinite,
    SampleSilent,
    SampleTooShort,
    TextEmpty,
    TextTooLong,
    VoiceIncompatible,
)
from voiceclone.nn.pitch import median_level, track_log_f0
from voiceclone.types import PhoneticAlphabet

from .conftest import RATE, buzz

TEXT = "The birch canoe slid on the smooth planks."


def speak(model: Fastspeech2Model, utterance: Utterance) -> list[Chunk]:
    session, chunks, done = model.open(utterance), [], False
    while not done:
        (step,) = model.step([session])
        chunks += step.chunks
        done = step.done
    model.release(session)
    return chunks


def resample(reference: Reference) -> np.ndarray:
    return np.asarray(soxr.resample(reference.samples, reference.sample_rate, RATE), np.float32)


def join(chunks: list[Chunk]) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in chunks])


@pytest.fixture(scope="module")
def voice(model: Fastspeech2Model, speech: Reference) -> bytes:
    return model.encode_voice([speech])


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.3])
def test_pitch_follows_the_reference(model: Fastspeech2Model, speech: Reference, factor: float) -> None:
    """The reference played faster or slower is another voice, higher or lower."""
    warped = Reference(speech.samples, int(speech.sample_rate * factor))
    wanted = median_level(track_log_f0(resample(warped)))
    spoken = median_level(track_log_f0(join(speak(model, Utterance(TEXT, model.encode_voice([warped]))))))
    assert wanted is not None
    assert spoken is not None
    assert 12 * abs(spoken - wanted) / np.log(2) < 2.5


def test_pitch_shift(model: Fastspeech2Model, voice: bytes) -> None:
    plain, raised = (
        median_level(track_log_f0(join(speak(model, Utterance(TEXT, voice, pitch_semitones=shift)))))
        for shift in (0.0, 5.0)
    )
    assert plain is not None
    assert raised is not None
    assert 12 * (raised - plain) / np.log(2) == pytest.approx(5.0, abs=1.5)


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_speaking_rate_divides_the_length(model: Fastspeech2Model, voice: bytes, rate: float) -> None:
    plain = len(join(speak(model, Utterance(TEXT, voice))))
    changed = len(join(speak(model, Utterance(TEXT, voice, speaking_rate=rate))))
    assert plain / changed == pytest.approx(rate, rel=0.15)


def test_variation_follows_the_seed(model: Fastspeech2Model, voice: bytes) -> None:
    options = Fastspeech2Options(variation=0.3)
    one, same, other = (join(speak(model, Utterance(TEXT, voice, seed=seed, options=options))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert len(one) != len(other) or np.abs(one - other).max() > 0


def test_timings_cover_the_audio(model: Fastspeech2Model, voice: bytes) -> None:
    text = "Dr. Smith paid $3.50. Did he?"
    chunks = speak(model, Utterance(text, voice))
    total = len(join(chunks))
    timings = [timing for chunk in chunks for timing in chunk.timings]
    phonemes = [timing for timing in timings if timing.kind is TimingKind.PHONEME]
    assert phonemes[0].start_sample == 0
    for before, after in itertools.pairwise(phonemes):
        assert before.start_sample + before.sample_count == after.start_sample
    assert phonemes[-1].start_sample + phonemes[-1].sample_count == total
    words = [timing for timing in timings if timing.kind is TimingKind.WORD]
    assert [w.label for w in words] == ["doctor", "smith", "paid", "three", "dollars", "fifty", "did", "he"]
    assert text[words[3].span.begin : words[3].span.end] == "$3.50"  # type: ignore[union-attr]
    assert len([timing for timing in timings if timing.kind is TimingKind.SENTENCE]) == 2
    assert [chunk.segment.index for chunk in chunks if chunk.segment] == [0, 1]


def test_timings_arrive_with_their_chunk(model: Fastspeech2Model, voice: bytes) -> None:
    position = 0
    for chunk in speak(model, Utterance(TEXT, voice)):
        end = position + len(chunk.samples)
        assert all(position <= timing.start_sample < end for timing in chunk.timings)
        position = end


def test_first_chunk_is_short(model: Fastspeech2Model, voice: bytes) -> None:
    chunks = speak(model, Utterance(TEXT, voice))
    assert len(chunks[0].samples) <= 0.3 * RATE
    assert all(len(chunk.samples) >= 0.08 * RATE for chunk in chunks[1:])


def test_phonemes_are_spoken_as_written(model: Fastspeech2Model, voice: bytes) -> None:
    chunks = speak(model, Utterance("HH AH0 L OW1", voice, alphabet=PhoneticAlphabet.ARPABET))
    labels = [t.label for chunk in chunks for t in chunk.timings if t.kind is TimingKind.PHONEME and t.label]
    assert labels == ["h", "ə", "l", "oʊ"] or labels == ["h", "ʌ", "l", "oʊ"]


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        (Reference(np.zeros(RATE, np.float32), RATE), SampleSilent),
        (Reference(buzz(120.0, 0.2, 1), RATE), SampleTooShort),
        (Reference(np.full(RATE, np.nan, np.float32), RATE), SampleNotFinite),
    ],
)
def test_unusable_references(model: Fastspeech2Model, reference: Reference, error: type[Exception]) -> None:
    with pytest.raises(error):
        model.encode_voice([reference])


def test_bad_utterances(model: Fastspeech2Model, voice: bytes) -> None:
    with pytest.raises(TextEmpty):
        model.open(Utterance("...", voice))
    with pytest.raises(TextTooLong):
        model.open(Utterance("a " * 5000, voice))
    with pytest.raises(LanguageUnsupported):
        model.open(Utterance(TEXT, voice, language="de"))
    with pytest.raises(VoiceIncompatible):
        model.open(Utterance(TEXT, b"\x80\x04K\x01."))
    with pytest.raises(PhonemesInvalid):
        model.open(Utterance("HH QQ", voice, alphabet=PhoneticAlphabet.ARPABET))


def test_other_rates_give_the_same_voice(model: Fastspeech2Model) -> None:
    from safetensors.numpy import load

    wave = buzz(140.0, 4.0, 2)
    here = load(model.encode_voice([Reference(wave, RATE)]))
    there = load(model.encode_voice([Reference(soxr.resample(wave, RATE, 48000), 48000)]))
    assert abs(here["level"][0] - there["level"][0]) < 0.01
    assert np.abs(here["spectrum"] - there["spectrum"])[:70].max() < 0.5

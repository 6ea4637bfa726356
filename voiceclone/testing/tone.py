"""The tone backend: one tone a word, no weights, the same every time; for tests and for learning."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.numpy import load, save

from voiceclone.backend import GeneratorModel
from voiceclone.errors import (
    InvalidRequest,
    SampleNotFinite,
    SampleSilent,
    SampleTooShort,
    TextEmpty,
    TextTooLong,
    VoiceIncompatible,
)
from voiceclone.hookspecs import hookimpl
from voiceclone.types import (
    BackendInfo,
    Capabilities,
    Chunk,
    ModelInfo,
    Reference,
    Segment,
    TextSpan,
    Timing,
    TimingKind,
    Utterance,
)

RATE = 24_000
WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
SENTENCE = re.compile(r"[^.!?]+[.!?]*")
#: Letters whose IPA sign is another one.
IPA = str.maketrans({"c": "k", "g": "\u0261", "q": "k", "r": "ɹ", "x": "s", "y": "j"})


class ToneOptions(BaseModel):
    """What the tone backend lets a caller set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    frequency: float | None = Field(
        default=None, gt=20, lt=8000, description="Pitch in Hz; without it the voice's own."
    )
    gap: float = Field(default=0.04, ge=0, le=1, description="Silence after each word, in seconds.")


class ToneModel(GeneratorModel):
    """One tone a word, 60 ms a letter, at the pitch of the reference; the seed varies the melody."""

    capabilities = Capabilities(
        languages=("en",),
        sample_rate=RATE,
        timings=(TimingKind.WORD, TimingKind.PHONEME),
        speaking_rate=True,
        pitch=True,
    )
    options: ClassVar[type[BaseModel]] = ToneOptions

    def encode_voice(self, references: Sequence[Reference]) -> bytes:
        """The median pitch of the references in Hz and their level; raises SampleRejected."""
        if not references:
            raise InvalidRequest("a voice needs at least one recording.", field="samples")
        pitches = [median_pitch(reference) for reference in references]
        levels = [np.sqrt(np.mean(np.square(reference.samples))) for reference in references]
        figures = {"pitch": np.median(pitches), "level": np.median(levels)}
        return save({name: np.array([figure], np.float32) for name, figure in figures.items()})

    def check(self, utterance: Utterance) -> None:
        if len(utterance.text) > self.capabilities.max_input_chars:
            raise TextTooLong(f"at most {self.capabilities.max_input_chars} characters.", field="input.text")
        if not WORD.search(utterance.text):
            raise TextEmpty("the text has no word to speak.", field="input.text")
        read_voice(utterance.voice)

    def synthesize(self, utterance: Utterance) -> Iterator[Chunk]:
        options = utterance.options or ToneOptions()
        pitch, level = read_voice(utterance.voice)
        pitch = (options.frequency or pitch) * 2 ** (utterance.pitch_semitones / 12)
        position = 0
        for index, sentence in enumerate(SENTENCE.finditer(utterance.text)):
            segment: Segment | None = Segment(index, TextSpan(*sentence.span()), sentence.group().strip())
            for word in WORD.finditer(utterance.text, *sentence.span()):
                letter = max(1, round(0.06 * RATE / utterance.speaking_rate))
                melody = zlib.crc32(f"{utterance.seed} {word.start()} {word.group()}".encode()) / 2**32
                samples = tone(pitch * 2 ** ((4 * melody - 2) / 12), letter * len(word.group()), level)
                silence = np.zeros(round(options.gap * RATE), np.float32)
                yield Chunk(np.concatenate([samples, silence]), tuple(timings(word, position, letter)), segment)
                position += len(samples) + len(silence)
                segment = None


def read_voice(data: bytes) -> tuple[float, float]:
    """(pitch in Hz, level) of a voice made by ``encode_voice``."""
    try:
        tensors = load(data)
        return float(tensors["pitch"][0]), float(tensors["level"][0])
    except (SafetensorError, KeyError, IndexError) as error:
        raise VoiceIncompatible("the voice was not made by this model.", hint="Enrol it again.") from error


def median_pitch(reference: Reference) -> float:
    """Median pitch in Hz (60-500) of a recording, by autocorrelation of 50 ms frames."""
    samples, rate = np.asarray(reference.samples, np.float32), reference.sample_rate
    size = rate // 20
    if not np.isfinite(samples).all():
        raise SampleNotFinite("the recording holds values that are no numbers.", field="samples")
    if len(samples) < 6 * size:
        raise SampleTooShort("the recording is shorter than 0.3 s.", field="samples")
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    loud = frames[np.square(frames).mean(axis=1) > 1e-6]
    if not len(loud):
        raise SampleSilent("the recording is silent.", field="samples")
    spectrum = np.fft.rfft(loud - loud.mean(axis=1, keepdims=True), 2 * size)
    correlation = np.fft.irfft(np.square(np.abs(spectrum)))[:, rate // 500 : rate // 60 + 1]
    return float(np.median(rate / (rate // 500 + correlation.argmax(axis=1))))


def tone(frequency: float, count: int, level: float) -> NDArray[np.float32]:
    """A tone with two overtones, float32 ``[count]``, faded over 5 ms at both ends; ``level`` is its RMS."""
    phase = 2 * np.pi * frequency / RATE * np.arange(count)
    wave = np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.25 * np.sin(3 * phase)
    fade = np.minimum(1.0, np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.005 * RATE))
    return np.asarray(wave * fade * np.clip(level, 0.02, 0.4), np.float32)


def timings(word: re.Match[str], start: int, letter: int) -> Iterator[Timing]:
    """The word, and each letter as if it were a phoneme; ``letter`` is one letter's length in samples."""
    yield Timing(TimingKind.WORD, start, letter * len(word.group()), word.group(), TextSpan(*word.span()))
    for offset, sign in enumerate(word.group()):
        span = TextSpan(word.start() + offset, word.start() + offset + 1)
        label = sign.lower().translate(IPA) if sign.isalpha() else ""
        yield Timing(TimingKind.PHONEME, start + offset * letter, letter, label, span)


def load_model(info: ModelInfo, device: str) -> ToneModel:
    """Factory of the tone backend."""
    return ToneModel()


@hookimpl
def voiceclone_backends() -> Iterable[BackendInfo]:
    model = ModelInfo("tone", backend="tone", revision="1", summary="A tone for each word.", licence="Apache-2.0")
    yield BackendInfo(
        name="tone",
        version="1.0",
        summary="Tones instead of speech: no weights, instant, deterministic.",
        factory="voiceclone.testing.tone:load_model",
        licence="Apache-2.0",
        models=(model,),
        devices=("cpu",),
    )

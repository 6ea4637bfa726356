"""A beep for each letter, in the stepped form: one step gives each session of the batch its next letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save

from voiceclone import Capabilities, Chunk, ModelInfo, Reference, Step, TextSpan, Timing, TimingKind, Utterance
from voiceclone.errors import SampleNotFinite, SampleSilent, SampleTooShort, TextEmpty, TextTooLong, VoiceIncompatible

RATE = 16_000
BEEP = 1_600
#: Letters an utterance may have.
LIMIT = 2_000


class BeepOptions(BaseModel):
    """What a caller may set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loudness: float = Field(default=0.3, ge=0.05, le=1.0, description="Amplitude of the beep.")


@dataclass
class Session:
    """Where one utterance is."""

    letters: list[int]
    frequency: float
    loudness: float
    next: int = 0


class BeepModel:
    """Implements ``voiceclone.Model``; nothing is inherited."""

    capabilities = Capabilities(
        languages=("en",), sample_rate=RATE, timings=(TimingKind.PHONEME,), max_input_chars=LIMIT, max_batch_size=4
    )
    options = BeepOptions

    def encode_voice(self, references: Sequence[Reference]) -> bytes:
        if not references:
            raise SampleTooShort("no recording was given.", field="samples")
        samples = np.concatenate([reference.samples for reference in references])
        if not np.isfinite(samples).all():
            raise SampleNotFinite("the recording holds values that are no numbers.", field="samples")
        if len(samples) < references[0].sample_rate:
            raise SampleTooShort("the recording is shorter than a second.", field="samples")
        if np.abs(samples).max() < 1e-4:
            raise SampleSilent("the recording is silent.", field="samples")
        crossings = np.count_nonzero(np.diff(np.signbit(samples))) / 2
        return save({"frequency": np.array([crossings * references[0].sample_rate / len(samples)], np.float32)})

    def open(self, utterance: Utterance) -> Session:
        if len(utterance.text) > LIMIT:
            raise TextTooLong(f"at most {LIMIT} characters.", field="input.text")
        letters = [index for index, sign in enumerate(utterance.text) if sign.isalpha()]
        if not letters:
            raise TextEmpty("there is no letter to beep.", field="input.text")
        try:
            frequency = float(read_tensors(utterance.voice)["frequency"][0])
        except (SafetensorError, KeyError) as error:
            raise VoiceIncompatible("the voice was not made by this model.") from error
        options = utterance.options or BeepOptions()
        return Session(letters, frequency * (1 + utterance.seed % 7 / 50), options.loudness)

    def step(self, sessions: Sequence[Session]) -> list[Step]:
        time = np.arange(BEEP, dtype=np.float64) / RATE
        pitches = np.array([session.frequency for session in sessions])
        loudness = np.array([session.loudness for session in sessions])
        waves = (loudness[:, None] * np.sin(2 * np.pi * pitches[:, None] * time)).astype(np.float32)  # [B, T]
        return [self._advance(session, wave) for session, wave in zip(sessions, waves, strict=True)]

    def _advance(self, session: Session, wave: np.ndarray) -> Step:
        letter = session.letters[session.next]
        timing = Timing(TimingKind.PHONEME, session.next * BEEP, BEEP, "beep", TextSpan(letter, letter + 1))
        session.next += 1
        return Step((Chunk(wave, (timing,)),), done=session.next == len(session.letters))

    def release(self, session: Session) -> None:
        session.letters = []

    def warm_up(self) -> None:
        """Nothing to warm up."""

    def memory_bytes(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing to free."""


def load(info: ModelInfo, device: str) -> BeepModel:
    return BeepModel()

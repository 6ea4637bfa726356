"""Speaking with a model directly, without an engine: what tests of backends are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voiceclone.backend import Model
from voiceclone.types import Chunk, Reference, Timing, Utterance

#: Steps after which an utterance counts as endless.
MAX_STEPS = 100_000


@dataclass
class Spoken:
    """All that came of one utterance."""

    chunks: list[Chunk] = field(default_factory=list)
    steps: int = 0
    error: Exception | None = None

    @property
    def audio(self) -> NDArray[np.float32]:
        """All samples, float32 ``[T]``."""
        parts = [chunk.samples for chunk in self.chunks]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    @property
    def timings(self) -> list[Timing]:
        return [timing for chunk in self.chunks for timing in chunk.timings]


def speak(model: Model, utterance: Utterance) -> Spoken:
    """Speak ``utterance`` alone. Raises what ``open`` raises and what ended the session."""
    spoken = speak_together(model, [utterance])[0]
    if spoken.error is not None:
        raise spoken.error
    return spoken


def speak_together(
    model: Model, utterances: Sequence[Utterance], *, turns: Sequence[Sequence[int]] | None = None
) -> list[Spoken]:
    """Speak all ``utterances`` at once, in one session each.

    ``turns``: which of them share each of the first steps, by index; afterwards, and without it, all go together as far
    as the model's batch size allows.
    """
    sessions = [model.open(utterance) for utterance in utterances]
    results = [Spoken() for _ in utterances]
    running = set(range(len(utterances)))
    plan = [list(turn) for turn in turns or ()]
    limit = model.capabilities.max_batch_size
    try:
        for _ in range(MAX_STEPS):
            if not running:
                return results
            turn = [index for index in (plan.pop(0) if plan else sorted(running)) if index in running]
            for start in range(0, len(turn), limit):
                batch = turn[start : start + limit]
                steps = model.step([sessions[index] for index in batch])
                assert len(steps) == len(batch), f"step() returned {len(steps)} steps for {len(batch)} sessions"
                for index, step in zip(batch, steps, strict=True):
                    results[index].steps += 1
                    results[index].chunks += step.chunks
                    results[index].error = step.error
                    if step.done or step.error is not None:
                        running.discard(index)
        raise AssertionError(f"no end after {MAX_STEPS} steps")
    finally:
        for session in sessions:
            model.release(session)


def vowel(
    pitch: float = 140.0, *, seconds: float = 3.0, rate: int = 16_000, transcript: str = "", language: str = "en"
) -> Reference:
    """A recording to clone where no voice is at hand: a buzz of ``pitch`` Hz through two formants, in syllables."""
    time = np.arange(round(seconds * rate)) / rate
    glide = pitch * (1 + 0.05 * np.sin(2 * np.pi * 0.7 * time))
    phase = 2 * np.pi * np.cumsum(glide) / rate
    wave = np.zeros_like(time)
    for harmonic in range(1, int(4000 / pitch)):
        frequency = harmonic * pitch
        strength = sum(np.exp(-(((frequency - formant) / 150) ** 2)) for formant in (700.0, 1200.0)) + 0.02
        wave += strength * np.sin(harmonic * phase)
    syllables = np.clip(0.65 + 0.6 * np.sin(2 * np.pi * 4 * time), 0, 1)
    wave *= syllables / np.abs(wave).max()
    return Reference((0.5 * wave).astype(np.float32), rate, transcript, language)

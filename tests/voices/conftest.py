"""A store in a folder of its own, recordings to put into it, and a consent."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from voiceclone.voices import Consent, ConsentMethod, VoiceStore


class Record(Protocol):
    """Makes the bytes of a WAV file that sounds like syllables; equal seeds give equal bytes."""

    def __call__(self, seed: int = 0, seconds: float = 2.0, rate: int = 16000) -> bytes: ...


def syllables(seed: int = 0, seconds: float = 2.0, rate: int = 16000) -> NDArray[np.float32]:
    """Harmonics of a moving pitch in bursts, over faint noise, [T]."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    pitch = 120 + 40 * np.sin(2 * np.pi * 0.7 * time + seed)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 12))
    bursts = np.clip(3 * np.sin(2 * np.pi * 2.1 * time), 0, 1)
    samples: NDArray[np.float32] = (0.15 * voice * bursts + 1e-3 * rng.standard_normal(len(time))).astype(np.float32)
    return samples


@pytest.fixture
def record() -> Record:
    def make(seed: int = 0, seconds: float = 2.0, rate: int = 16000) -> bytes:
        buffer = io.BytesIO()
        soundfile.write(buffer, syllables(seed, seconds, rate), rate, format="WAV")
        return buffer.getvalue()

    return make


@pytest.fixture
def consent() -> Consent:
    return Consent("A Speaker", ConsentMethod.SYNTHETIC_SPEAKER)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VoiceStore]:
    made = VoiceStore(directory=tmp_path / "store")
    yield made
    made.close()

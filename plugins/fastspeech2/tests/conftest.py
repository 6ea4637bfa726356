"""What the tests of this plugin share: a tiny aligned corpus and the bundled model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from voiceclone_fastspeech2 import voiceclone_backends
from voiceclone_fastspeech2.model import Fastspeech2Model, load

from voiceclone import ModelInfo, Reference

RATE = 16000


def buzz(pitch: float, seconds: float, seed: int) -> np.ndarray:
    """A vowel-like sound, float32 ``[T]``, with a little noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 12))
    return np.asarray(0.05 * wave + rng.normal(0, 0.002, len(time)), np.float32)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three speakers of three utterances each; one speaker is only in the validation split."""
    folder = tmp_path_factory.mktemp("corpus")
    lines = []
    for number, (speaker, pitch) in enumerate((("low", 110.0), ("mid", 160.0), ("high", 220.0))):
        for take in range(3):
            name = f"{speaker}-{take}"
            seconds = 1.2 + 0.3 * take
            soundfile.write(folder / f"{name}.flac", buzz(pitch, seconds, 10 * number + take), RATE)
            phones = ["pau", "m", "aa", "n", "iy", "pau"]
            item = {
                "id": name, "audio": f"{name}.flac", "text": "Mahnee.", "speaker": speaker, "base": speaker,
                "split": "valid" if speaker == "high" else "train", "language": "en-us", "phones": phones,
                "stresses": [0, 0, 1, 0, 0, 2],
                "ends": [round(seconds * part, 4) for part in (0.1, 0.3, 0.5, 0.65, 0.9)] + [seconds],
            }  # fmt: skip
            lines.append(json.dumps(item))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def speech() -> Reference:
    """The recording that the demo clones."""
    samples, rate = soundfile.read(Path(__file__).parents[3] / "examples" / "reference.wav", dtype="float32")
    return Reference(samples, rate)


@pytest.fixture(scope="session")
def bundled() -> ModelInfo:
    (info,) = next(iter(voiceclone_backends())).models
    return info


@pytest.fixture(scope="session")
def model(bundled: ModelInfo) -> Fastspeech2Model:
    return load(bundled, "cpu")

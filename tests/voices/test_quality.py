"""What is measured in a recording, and that each fault has its own reason."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from voiceclone.errors import (
    SampleClipped,
    SampleNotFinite,
    SampleRejected,
    SampleSilent,
    SampleTooLong,
    SampleTooShort,
)
from voiceclone.voices.quality import assess, clipped_fraction

RATE = 16000
Floats = NDArray[np.float32]


def speech(seconds: float = 4.0, rate: int = RATE, noise: float = 1e-3) -> Floats:
    rng = np.random.default_rng(0)
    time = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(4 * time)) / rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 10))
    bursts = np.clip(3 * np.sin(2 * np.pi * 1.7 * time), 0, 1)
    return (0.15 * voice * bursts + noise * rng.standard_normal(len(time))).astype(np.float32)


def spoiled(position: int, value: float) -> Floats:
    samples = speech()
    samples[position] = value
    return samples


REFUSED = [
    ("nan", spoiled(100, np.nan), SampleNotFinite, "SAMPLE_NOT_FINITE"),
    ("infinite", spoiled(-1, -np.inf), SampleNotFinite, "SAMPLE_NOT_FINITE"),
    ("short", speech(0.99), SampleTooShort, "SAMPLE_TOO_SHORT"),
    ("empty", speech(0.0), SampleTooShort, "SAMPLE_TOO_SHORT"),
    ("long", np.tile(speech(), 31), SampleTooLong, "SAMPLE_TOO_LONG"),
    ("zeros", np.zeros(RATE * 2, np.float32), SampleSilent, "SAMPLE_SILENT"),
    ("offset", np.full(RATE * 2, 0.5, np.float32), SampleSilent, "SAMPLE_SILENT"),
    ("whisper of noise", speech() * np.float32(1e-4), SampleSilent, "SAMPLE_SILENT"),
    ("one click", spoiled(0, 0) * 0 + np.eye(1, RATE * 4, 5000, dtype=np.float32)[0], SampleSilent, "SAMPLE_SILENT"),
    ("clipped", np.clip(speech() * 8, -1, 1).astype(np.float32), SampleClipped, "SAMPLE_CLIPPED"),
    ("clipped, then made quiet", np.clip(speech() * 8, -1, 1).astype(np.float32) / 3, SampleClipped, "SAMPLE_CLIPPED"),
]


@pytest.mark.parametrize(("samples", "kind", "reason"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED])
def test_each_fault_is_refused_with_its_own_reason(samples: Floats, kind: type[SampleRejected], reason: str) -> None:
    with pytest.raises(SampleRejected) as caught:
        assess(samples, RATE)
    assert type(caught.value) is kind
    assert caught.value.reason == reason
    assert caught.value.violations[0].field == "data"


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000])
def test_clean_speech_passes_at_every_rate(rate: int) -> None:
    quality = assess(speech(rate=rate), rate)
    assert quality.clipped_fraction == 0
    assert 0.3 < quality.speech_fraction < 0.7
    assert quality.snr_db > 25
    assert [text for text in quality.warnings if "Hz" not in text] == []


def test_the_limits_themselves_are_inside() -> None:
    assess(speech(1.0), RATE)
    assess(np.tile(speech(), 30), RATE)


def test_noise_lowers_the_ratio_by_what_it_adds() -> None:
    ratios = [assess(speech(8.0, noise=noise), RATE).snr_db for noise in (1e-3, 1e-2, 1e-1)]
    assert ratios[0] - ratios[1] == pytest.approx(20, abs=2)
    assert ratios[1] - ratios[2] == pytest.approx(20, abs=3)


def test_lesser_faults_are_warnings() -> None:
    assert any("long" in text for text in assess(speech(2.0), RATE).warnings)
    assert any("8000 Hz" in text for text in assess(speech(rate=8000), 8000).warnings)
    assert any("Noisy" in text for text in assess(speech(noise=0.05), RATE).warnings)
    padded = np.concatenate([speech(), 1e-3 * np.random.default_rng(1).standard_normal(RATE * 20).astype(np.float32)])
    assert any("silence" in text for text in assess(padded.astype(np.float32), RATE).warnings)


def test_clipping_is_counted_exactly() -> None:
    samples = speech()
    samples[1000:1010], samples[2000:2030], samples[3000] = 1.0, -1.0, 1.0
    assert clipped_fraction(samples) == pytest.approx(40 / len(samples))


def test_a_full_scale_tone_is_not_clipped() -> None:
    time = np.arange(48000) / 48000
    assert clipped_fraction(np.sin(2 * np.pi * 100 * time).astype(np.float32)) < 0.01

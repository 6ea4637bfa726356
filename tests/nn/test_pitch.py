"""The pitch tracker against signals whose F0 is known."""

from __future__ import annotations

import numpy as np
import pytest

from voiceclone.nn.pitch import PitchConfig, median_level, track_log_f0, track_pitch

RATE = 16000


def harmonic(f0: np.ndarray, overtones: int = 8) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    return np.asarray(0.1 * sum(np.sin(k * phase) / k for k in range(1, overtones)), np.float32)


@pytest.mark.parametrize("pitch", [70.0, 118.0, 203.0, 390.0])
def test_steady_tone(pitch: float) -> None:
    f0, voiced = track_pitch(harmonic(np.full(RATE, pitch)))
    inner = slice(3, -3)
    assert voiced[inner].all()
    assert np.abs(12 * np.log2(f0[inner] / pitch)).max() < 0.1


def test_glide_is_followed() -> None:
    course = np.geomspace(100.0, 240.0, 2 * RATE)
    f0, voiced = track_pitch(harmonic(course))
    truth = course[(np.arange(len(f0)) * 256 + 128).clip(0, len(course) - 1)]
    inner = slice(3, -3)
    assert voiced[inner].all()
    assert np.abs(12 * np.log2(f0[inner] / truth[inner])).max() < 0.5


def test_noise_and_silence_are_unvoiced() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert track_pitch(noise)[1].mean() < 0.1
    assert not track_pitch(np.zeros(RATE, np.float32))[1].any()
    assert median_level(track_log_f0(np.zeros(RATE, np.float32))) is None


@pytest.mark.parametrize("length", [0, 1, 255, 256, 700])
def test_short_inputs(length: int) -> None:
    f0, voiced = track_pitch(np.zeros(length, np.float32), PitchConfig())
    assert len(f0) == len(voiced) == length // 256


@pytest.mark.parametrize("pitch", [56.0, 61.0, 480.0, 515.0, 700.0])
def test_pitches_at_the_ends_of_the_range_stay_plausible(pitch: float) -> None:
    config = PitchConfig()
    f0, voiced = track_pitch(harmonic(np.full(RATE, pitch)) + np.float32(0.3), config)
    assert np.isfinite(f0).all()
    assert ((f0[voiced] > 0.9 * config.f_min) & (f0[voiced] < 1.1 * config.f_max)).all()

"""The harmonic-plus-noise vocoder: its sources, and chunks that equal the whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from voiceclone.nn.excitation import pulse_train
from voiceclone.nn.pitch import continuous_f0, track_pitch
from voiceclone.nn.spectrogram import LogMel, SpectrogramConfig
from voiceclone.nn.vocoder import HarmonicVocoder, VocoderConfig

SPECTROGRAM = SpectrogramConfig()


@pytest.fixture
def vocoder() -> HarmonicVocoder:
    torch.manual_seed(0)
    return HarmonicVocoder(VocoderConfig(channels=32, layers=3), SPECTROGRAM).eval()


def inputs(frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mel, F0 and voicing of nothing in particular."""
    torch.manual_seed(1)
    return torch.randn(1, 80, frames) - 4, 100 + 50 * torch.rand(1, frames), torch.rand(1, frames).round()


@pytest.mark.parametrize("pitch", [60.0, 125.0, 333.3])
def test_pulses_are_the_sum_of_their_harmonics(pitch: float) -> None:
    samples = pulse_train(torch.full((1, 20), pitch), 256, 16000)[0].double()
    count = int(0.49 * 16000 / pitch)
    turns = torch.arange(1, 20 * 256 + 1, dtype=torch.float64) * np.float32(pitch) / 16000
    series = sum(torch.cos(2 * torch.pi * k * turns) for k in range(1, count + 1)) * (2 / count) ** 0.5
    torch.testing.assert_close(samples, series, atol=2e-3, rtol=1e-3)
    assert samples.square().mean() == pytest.approx(1.0, abs=0.05)


def test_pulses_follow_a_moving_pitch() -> None:
    f0 = torch.linspace(90.0, 220.0, 100)[None]
    tracked, voiced = track_pitch(pulse_train(f0, 256, 16000)[0].numpy() * 0.05)
    inner = slice(4, -4)
    assert voiced[inner].all()
    assert np.abs(12 * np.log2(tracked[inner] / f0[0, inner].numpy())).max() < 0.3


def test_untrained_vocoder_keeps_spectrum_and_pitch() -> None:
    """The filters start from the mel itself, so a copy is speech before a single step of training."""
    torch.manual_seed(0)
    vocoder = HarmonicVocoder(VocoderConfig(channels=16, layers=1), SPECTROGRAM).eval()
    f0 = torch.full((1, 60), 140.0)
    source = pulse_train(f0, 256, 16000) * 0.05
    mel = LogMel(SPECTROGRAM)(source)
    with torch.no_grad():
        copy = vocoder(mel, f0, torch.ones(1, 60))
    assert (LogMel(SPECTROGRAM)(copy) - mel)[:, :, 4:-4].abs().mean() < 0.8
    tracked, _ = track_pitch(copy[0].numpy())
    assert np.median(tracked) == pytest.approx(140.0, rel=0.01)


@pytest.mark.parametrize("borders", [(0, 12, 36, 84, 100), (0, 1, 2, 100), (0, 99, 100)])
def test_chunks_equal_the_whole(vocoder: HarmonicVocoder, borders: tuple[int, ...]) -> None:
    mel, f0, voicing = inputs(100)
    excitation = vocoder.excite(f0, torch.Generator().manual_seed(3))
    with torch.no_grad():
        whole = vocoder(mel, f0, voicing, excitation)
        pairs = itertools.pairwise(borders)
        parts = [vocoder.decode_chunk(mel, f0, voicing, excitation, begin, end) for begin, end in pairs]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-4)


def test_context_is_exactly_what_reaches_a_hop(vocoder: HarmonicVocoder) -> None:
    mel, f0, voicing = inputs(100)
    mel.requires_grad_()
    vocoder(mel, f0, voicing)[:, 50 * 256 : 51 * 256].abs().sum().backward()
    assert mel.grad is not None
    reached = mel.grad.abs().sum(dim=(0, 1)).nonzero()[:, 0] - 50
    assert (int(reached.min()), int(reached.max())) == (-vocoder.context, vocoder.context)


def test_the_generator_fixes_the_noise(vocoder: HarmonicVocoder) -> None:
    _, f0, _ = inputs(20)
    one, same, other = (vocoder.excite(f0, torch.Generator().manual_seed(seed)).noise for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_bridged_pitch() -> None:
    log_f0 = np.log(np.array([1, 100, 1, 1, 400, 1], np.float32))
    np.testing.assert_allclose(continuous_f0(log_f0), [100, 100, 158.74, 251.98, 400, 400], rtol=1e-3)
    assert (continuous_f0(np.zeros(3, np.float32)) == 150.0).all()

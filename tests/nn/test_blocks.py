"""Shared blocks: padding changes nothing, frames cover the samples, the inverse STFT inverts."""

from __future__ import annotations

import pytest
import torch

from voiceclone.nn.convnext import ConvNeXtStack
from voiceclone.nn.spectrogram import LogMel, SpectrogramConfig, istft, mel_filterbank, stft_magnitude

SPECTROGRAM = SpectrogramConfig()


@pytest.mark.parametrize("hops", [1, 2, 7, 50])
def test_log_mel_has_a_frame_a_hop(hops: int) -> None:
    mel = LogMel(SPECTROGRAM)(torch.randn(2, hops * SPECTROGRAM.hop_length))
    assert mel.shape == (2, 80, hops)
    assert torch.isfinite(mel).all()


def test_filters_cover_the_band_without_holes() -> None:
    filters = mel_filterbank(SPECTROGRAM)
    assert (filters >= 0).all()
    assert (filters.sum(dim=0) > 0).all()
    assert (filters[2:-2].sum(dim=1) > 0).all()


def test_inverse_stft_gives_the_signal_back() -> None:
    n_fft, hop = 1024, 256
    window = torch.hann_window(n_fft)
    signal = torch.randn(1, hop * 40)
    pad = (n_fft - hop) // 2
    padded = torch.nn.functional.pad(signal[:, None], (pad, pad), mode="reflect")[:, 0]
    spectrum = torch.stft(padded, n_fft, hop, window=window, center=False, return_complex=True)
    again = istft(spectrum, n_fft, hop, window)
    torch.testing.assert_close(again, signal, atol=1e-4, rtol=1e-4)


def test_stft_of_shorter_than_a_window() -> None:
    assert stft_magnitude(torch.randn(1, 256), 1024, 256, torch.hann_window(1024)).shape == (1, 513, 1)


def test_padded_row_equals_the_row_alone() -> None:
    torch.manual_seed(0)
    stack = ConvNeXtStack(16, 3, condition_size=4).eval()
    short, condition = torch.randn(1, 9, 16), torch.randn(2, 4)
    padded = torch.zeros(2, 20, 16)
    padded[0, :9], padded[1] = short, torch.randn(20, 16)
    mask = torch.ones(2, 20, 1)
    mask[0, 9:] = 0
    alone = stack(short, condition[:1], torch.ones(1, 9, 1))
    torch.testing.assert_close(stack(padded, condition, mask)[:1, :9], alone, atol=1e-5, rtol=1e-5)


def test_missing_condition_is_named() -> None:
    with pytest.raises(ValueError, match="condition"):
        ConvNeXtStack(8, 1, condition_size=4)(torch.randn(1, 5, 8))

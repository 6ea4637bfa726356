"""Source signals of voiced and unvoiced speech: a band-limited pulse train that follows F0, and white noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Excitation:
    """Complex spectra ``[B, n_fft // 2 + 1, F]`` of unit-power sources, on the frames of the output's inverse STFT."""

    harmonic: Tensor
    noise: Tensor

    def frames(self, begin: int, end: int) -> Excitation:
        return Excitation(self.harmonic[..., begin:end], self.noise[..., begin:end])


def pulse_train(f0: Tensor, hop_length: int, sample_rate: int, phase: Tensor | None = None) -> Tensor:
    """F0 in Hz ``[B, F]`` -> ``[B, F * hop_length]``: all harmonics below Nyquist in phase, unit power.

    The sum of K cosines in closed form (the Dirichlet kernel), so the cost does not grow with K. ``phase`` ``[B, 1]``
    in radians is where the first period starts.
    """
    per_sample = F.interpolate(f0[:, None], scale_factor=hop_length, mode="linear", align_corners=False)[:, 0]
    # In double precision: over a minute single precision would be off by a tenth of a period.
    turns = torch.cumsum(per_sample.double() / sample_rate, dim=1)
    if phase is not None:
        turns = turns + phase.double() / (2 * torch.pi)
    half = torch.pi * (turns - turns.floor())
    count = torch.floor(0.49 * sample_rate / per_sample.double()).clamp_min(1.0)
    sine = torch.sin(half)
    closed = (torch.sin((2 * count + 1) * half) / torch.where(sine.abs() < 1e-6, 1.0, sine) - 1.0) / 2
    series = torch.where(sine.abs() < 1e-6, count, closed)
    return (series * torch.sqrt(2.0 / count)).float()


def excite(
    f0: Tensor, n_fft: int, hop_length: int, sample_rate: int, window: Tensor, generator: torch.Generator | None = None
) -> Excitation:
    """Sources for F0 in Hz ``[B, F]``; ``generator`` fixes the noise and the phase of the first pulse."""
    rows, frames = f0.shape
    phase = 2 * torch.pi * torch.rand(rows, 1, generator=generator)
    noise = torch.randn(rows, frames * hop_length, generator=generator)
    sources = torch.cat([pulse_train(f0, hop_length, sample_rate, phase), noise])
    pad = (n_fft - hop_length) // 2
    spectra = torch.stft(
        F.pad(sources, (pad, pad)), n_fft, hop_length, window=window, center=False, return_complex=True
    )
    return Excitation(spectra[:rows], spectra[rows:])

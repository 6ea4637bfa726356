"""Spectrograms and mels as GPT-SoVITS computes them: magnitudes of frames a hop apart, never centred."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Analysis:
    """Settings of one spectrogram; the window is as long as the transform."""

    sample_rate: int
    n_fft: int
    hop: int
    mels: int = 0


#: Of a reference, for its timbre; with 128 mels the training loss.
REFERENCE = Analysis(32000, 2048, 640, 128)
#: What the flow matching of v3 and v4 writes.
MEL_V3 = Analysis(24000, 1024, 256, 100)
MEL_V4 = Analysis(32000, 1280, 320, 100)
#: Logarithms of mels that become -1 and 1.
_LOW, _HIGH = -12.0, 2.0
_FLOOR = 1e-5


def linear(samples: Tensor, analysis: Analysis) -> Tensor:
    """Samples ``[B, T]`` -> magnitudes ``[B, n_fft // 2 + 1, T // hop]``. Raises ValueError where T is too short."""
    pad = (analysis.n_fft - analysis.hop) // 2
    if samples.shape[-1] <= pad:
        raise ValueError(f"at least {pad + 1} samples are needed, got {samples.shape[-1]}")
    window = torch.hann_window(analysis.n_fft, device=samples.device, dtype=samples.dtype)
    padded = F.pad(samples[:, None], (pad, pad), mode="reflect")[:, 0]
    spectrum = torch.stft(
        padded, analysis.n_fft, analysis.hop, analysis.n_fft, window, center=False, return_complex=True
    )
    return (torch.view_as_real(spectrum).square().sum(-1) + 1e-8).sqrt()


def to_mel(magnitudes: Tensor, analysis: Analysis) -> Tensor:
    """``[B, bins, T]`` -> natural logarithms ``[B, mels, T]``."""
    basis = filters(analysis).to(magnitudes)
    return (basis @ magnitudes).clamp_min(_FLOOR).log()


def mel(samples: Tensor, analysis: Analysis) -> Tensor:
    """Samples ``[B, T]`` -> natural logarithms ``[B, mels, T // hop]``."""
    return to_mel(linear(samples, analysis), analysis)


def normalised(logarithms: Tensor) -> Tensor:
    """To about -1..1, as flow matching reads and writes it."""
    return (logarithms - _LOW) / (_HIGH - _LOW) * 2 - 1


def denormalised(values: Tensor) -> Tensor:
    return (values + 1) / 2 * (_HIGH - _LOW) + _LOW


@lru_cache(8)
def filters(analysis: Analysis) -> Tensor:
    """``[mels, bins]``: triangles of unit area, evenly spaced on Slaney's mel scale from 0 to half the rate."""
    bins = np.linspace(0.0, analysis.sample_rate / 2, analysis.n_fft // 2 + 1)
    top = _to_slaney(np.array(analysis.sample_rate / 2))
    edges = _from_slaney(np.linspace(0.0, float(top), analysis.mels + 2))
    widths = np.diff(edges)
    ramps = edges[:, None] - bins[None]
    weights = np.maximum(0.0, np.minimum(-ramps[:-2] / widths[:-1, None], ramps[2:] / widths[1:, None]))
    # Rounded before and after, as the library does that upstream takes them from.
    weights = weights.astype(np.float32)
    weights *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return torch.from_numpy(weights.astype(np.float32))


#: Slaney's scale is linear up to here, then logarithmic.
_BREAK_HZ, _HZ_A_MEL = 1000.0, 200.0 / 3
_STEP = np.log(6.4) / 27.0


def _to_slaney(hertz: np.ndarray) -> np.ndarray:
    bent = _BREAK_HZ / _HZ_A_MEL + np.log(np.maximum(hertz, 1e-10) / _BREAK_HZ) / _STEP
    return np.where(hertz >= _BREAK_HZ, bent, hertz / _HZ_A_MEL)


def _from_slaney(mels: np.ndarray) -> np.ndarray:
    start = _BREAK_HZ / _HZ_A_MEL
    return np.where(mels >= start, _BREAK_HZ * np.exp(_STEP * (mels - start)), mels * _HZ_A_MEL)

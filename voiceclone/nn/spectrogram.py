"""Log-mel spectrograms whose frame ``t`` is centred on its own hop of samples, and the inverse STFT that matches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class SpectrogramConfig:
    """Analysis settings; ``hop_length`` divides every length that is analysed."""

    sample_rate: int = 16000
    n_fft: int = 1024
    hop_length: int = 256
    n_mels: int = 80
    f_min: float = 0.0
    f_max: float = 8000.0

    @property
    def frames_per_second(self) -> float:
        return self.sample_rate / self.hop_length


def mel_frequencies(config: SpectrogramConfig, count: int) -> Tensor:
    """``[count]`` frequencies in Hz, evenly spaced on the HTK mel scale from ``f_min`` to ``f_max``."""
    low, high = (2595.0 * torch.log10(torch.tensor(1.0 + f / 700.0)) for f in (config.f_min, config.f_max))
    mels = torch.linspace(float(low), float(high), count)
    return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)


def mel_filterbank(config: SpectrogramConfig) -> Tensor:
    """Triangular filters ``[n_fft // 2 + 1, n_mels]``, each of unit area (Slaney's normalisation)."""
    bins = torch.linspace(0.0, config.sample_rate / 2, config.n_fft // 2 + 1)
    edges = mel_frequencies(config, config.n_mels + 2)
    rising = (bins[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp_min(0.0)
    return filters * (2.0 / (edges[2:] - edges[:-2]))


class LogMel(nn.Module):
    """Waveform ``[B, T]`` -> natural-log mel magnitudes ``[B, n_mels, T // hop_length]``, floored at 1e-5."""

    FLOOR = 1e-5
    window: Tensor
    filters: Tensor

    def __init__(self, config: SpectrogramConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        self.register_buffer("filters", mel_filterbank(config), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        magnitude = stft_magnitude(waveform, self.config.n_fft, self.config.hop_length, self.window)
        return torch.log((magnitude.transpose(1, 2) @ self.filters).clamp_min(self.FLOOR)).transpose(1, 2)


def stft_magnitude(waveform: Tensor, n_fft: int, hop_length: int, window: Tensor) -> Tensor:
    """``[B, T]`` -> ``[B, n_fft // 2 + 1, T // hop_length]``; reflected ends, so that frames cover whole hops."""
    pad = (n_fft - hop_length) // 2
    mode = "reflect" if waveform.shape[-1] > pad else "constant"
    padded = F.pad(waveform[:, None], (pad, pad), mode=mode)[:, 0]
    spectrum = torch.stft(padded, n_fft, hop_length, window=window, center=False, return_complex=True)
    return spectrum.abs()


def istft(spectrum: Tensor, n_fft: int, hop_length: int, window: Tensor) -> Tensor:
    """Overlap-add of complex frames ``[B, n_fft // 2 + 1, F]`` -> ``[B, F * hop_length]``.

    The "same" padding of Vocos (Siuzdak 2023): frame ``t`` is centred on its own hop, so chunks join at hop borders.
    """
    frames = torch.fft.irfft(spectrum, n_fft, dim=1) * window[:, None]
    count = frames.shape[-1]
    length = (count - 1) * hop_length + n_fft
    fold = {"output_size": (1, length), "kernel_size": (1, n_fft), "stride": (1, hop_length)}
    signal = F.fold(frames, **fold)[:, 0, 0]
    envelope = F.fold(window.square()[None, :, None].expand(1, -1, count), **fold)[:, 0, 0]
    pad = (n_fft - hop_length) // 2
    return (signal / envelope.clamp_min(1e-8))[:, pad : length - pad]

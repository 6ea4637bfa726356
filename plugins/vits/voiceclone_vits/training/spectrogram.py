"""The spectrograms VITS learns from: linear magnitudes, and Slaney log-mels with the values librosa gives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Under the square root of the magnitude: its gradient stays finite in silence.
POWER_FLOOR = 1e-6
#: Mel magnitudes below it are silence.
MEL_FLOOR = 1e-5
_LINEAR_HZ, _LINEAR_STEP = 1000.0, 200.0 / 3.0
_LOG_STEP = 6.4  # ratio in Hz over 27 mels above 1 kHz


@dataclass(frozen=True, slots=True)
class SpectrogramConfig:
    """Analysis settings, in samples and Hz; ``mel_fmax`` None is half the rate."""

    sampling_rate: int = 22050
    filter_length: int = 1024
    hop_length: int = 256
    win_length: int = 1024
    n_mel_channels: int = 80
    mel_fmin: float = 0.0
    mel_fmax: float | None = None

    @property
    def bins(self) -> int:
        return self.filter_length // 2 + 1

    @property
    def pad(self) -> int:
        """Samples reflected at either end, so that whole hops are covered."""
        return (self.filter_length - self.hop_length) // 2


class Spectrogram(nn.Module):
    """Waveforms to linear magnitudes and log-mels; frame ``t`` is centred on its own hop of samples."""

    window: Tensor
    filters: Tensor

    def __init__(self, config: SpectrogramConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("window", torch.hann_window(config.win_length), persistent=False)
        self.register_buffer("filters", mel_filters(config), persistent=False)

    def linear(self, waveform: Tensor) -> Tensor:
        """``[B, S]`` in -1..1 -> magnitudes ``[B, filter_length // 2 + 1, S // hop_length]``, float32."""
        pad = self.config.pad
        mode = "reflect" if waveform.shape[-1] > pad else "constant"
        return self.linear_of_padded(F.pad(waveform.float()[:, None], (pad, pad), mode=mode)[:, 0])

    def linear_of_padded(self, waveform: Tensor) -> Tensor:
        """As :meth:`linear` of a waveform that has ``config.pad`` samples more at either end."""
        config = self.config
        spectrum = torch.stft(
            waveform.float(), config.filter_length, config.hop_length, config.win_length, self.window,
            center=False, return_complex=True,
        )  # fmt: skip
        return torch.sqrt(torch.view_as_real(spectrum).square().sum(-1) + POWER_FLOOR)

    def mel(self, linear: Tensor) -> Tensor:
        """Linear magnitudes ``[B, bins, T]`` -> natural-log mel magnitudes ``[B, n_mel_channels, T]``, float32."""
        with torch.autocast(linear.device.type, enabled=False):
            return torch.log(torch.matmul(self.filters, linear.float()).clamp_min(MEL_FLOOR))

    def forward(self, waveform: Tensor) -> Tensor:
        """``[B, S]`` -> log-mel ``[B, n_mel_channels, S // hop_length]``."""
        return self.mel(self.linear(waveform))


def mel_filters(config: SpectrogramConfig) -> Tensor:
    """Triangles of unit area on Slaney's mel scale, ``[n_mel_channels, bins]`` float32."""
    top = config.sampling_rate / 2 if config.mel_fmax is None else config.mel_fmax
    ends = _to_mel(torch.tensor([config.mel_fmin, top], dtype=torch.float64))
    edges = _to_hz(torch.linspace(float(ends[0]), float(ends[1]), config.n_mel_channels + 2, dtype=torch.float64))
    bins = torch.linspace(0.0, config.sampling_rate / 2, config.bins, dtype=torch.float64)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    area = 2.0 / (edges[2:] - edges[:-2])
    return (torch.minimum(rising, falling).clamp_min(0.0) * area[:, None]).float()


def _to_mel(hz: Tensor) -> Tensor:
    above = 15.0 + 27.0 * torch.log(hz.clamp_min(_LINEAR_HZ) / _LINEAR_HZ) / torch.log(torch.tensor(_LOG_STEP).double())
    return torch.where(hz < _LINEAR_HZ, hz / _LINEAR_STEP, above)


def _to_hz(mel: Tensor) -> Tensor:
    above = _LINEAR_HZ * torch.exp((mel - 15.0) / 27.0 * torch.log(torch.tensor(_LOG_STEP).double()))
    return torch.where(mel < 15.0, mel * _LINEAR_STEP, above)

"""A Vocos-style vocoder: ConvNeXt blocks at frame rate, an inverse STFT at the end (Siuzdak 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voiceclone.nn.convnext import ConvNeXtStack
from voiceclone.nn.spectrogram import SpectrogramConfig, istft_same


@dataclass(frozen=True, slots=True)
class VocosConfig:
    channels: int = 192
    layers: int = 6
    expansion: int = 3
    kernel_size: int = 7


class Vocos(nn.Module):
    """Log-mel ``[B, n_mels, F]`` -> waveform ``[B, F * hop_length]``."""

    def __init__(self, config: VocosConfig, spectrogram: SpectrogramConfig) -> None:
        super().__init__()
        self.n_fft, self.hop_length = spectrogram.n_fft, spectrogram.hop_length
        self.embed = nn.Conv1d(
            spectrogram.n_mels, config.channels, config.kernel_size, padding=config.kernel_size // 2
        )
        self.norm_in = nn.LayerNorm(config.channels)
        self.stack = ConvNeXtStack(config.channels, config.layers, config.expansion, config.kernel_size)
        self.norm_out = nn.LayerNorm(config.channels)
        self.head = nn.Linear(config.channels, 2 * (self.n_fft // 2 + 1))
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)
        #: Frames to either side that reach one output hop: the convolutions, and the overlap of the inverse STFT.
        self.context = config.kernel_size // 2 + self.stack.context + self.n_fft // self.hop_length // 2

    def spectrum(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Log-magnitude and phase, both ``[B, n_fft // 2 + 1, F]``."""
        h = self.norm_in(self.embed(mel).transpose(1, 2))
        h = self.head(self.norm_out(self.stack(h))).transpose(1, 2)
        log_magnitude, phase = h.chunk(2, dim=1)
        return log_magnitude, phase

    def forward(self, mel: Tensor) -> Tensor:
        log_magnitude, phase = self.spectrum(mel)
        return istft_same(log_magnitude, phase, self.n_fft, self.hop_length, self.window)

    def decode_chunk(self, mel: Tensor, begin: int, end: int) -> Tensor:
        """Samples ``[B, (end - begin) * hop_length]`` of frames ``[begin, end)`` of ``mel`` ``[B, n_mels, F]``.

        Only the frames within ``context`` are computed, so a stream costs little more than one whole pass.
        """
        left, right = max(0, begin - self.context), min(mel.shape[-1], end + self.context)
        samples = self(mel[:, :, left:right])
        return samples[:, (begin - left) * self.hop_length : (end - left) * self.hop_length]

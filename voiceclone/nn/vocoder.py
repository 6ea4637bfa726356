"""A harmonic-plus-noise vocoder: a ConvNeXt network at frame rate filters two sources in the STFT domain.

The network and the inverse STFT are those of Vocos (Siuzdak 2023); that the phases come from sources which follow F0,
and the network only filters them, is the idea of neural source-filter models (Wang et al. 2019) and of the neural
homomorphic vocoder (Liu et al. 2020). A network that has to invent coherent phases needs far more training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voiceclone.nn.convnext import ConvNeXtStack
from voiceclone.nn.excitation import Excitation, excite
from voiceclone.nn.spectrogram import SpectrogramConfig, istft, mel_frequencies


@dataclass(frozen=True, slots=True)
class VocoderConfig:
    channels: int = 192
    layers: int = 5
    expansion: int = 3
    kernel_size: int = 7


class HarmonicVocoder(nn.Module):
    """Log-mel ``[B, n_mels, F]`` and F0 ``[B, F]`` -> waveform ``[B, F * hop_length]``."""

    window: Tensor
    unfold: Tensor

    def __init__(self, config: VocoderConfig, spectrogram: SpectrogramConfig) -> None:
        super().__init__()
        self.spectrogram = spectrogram
        self.n_fft, self.hop_length = spectrogram.n_fft, spectrogram.hop_length
        bins, kernel = self.n_fft // 2 + 1, config.kernel_size
        self.embed = nn.Conv1d(spectrogram.n_mels + 2, config.channels, kernel, padding=kernel // 2)
        self.norm_in = nn.LayerNorm(config.channels)
        self.stack = ConvNeXtStack(config.channels, config.layers, config.expansion, kernel)
        self.norm_out = nn.LayerNorm(config.channels)
        self.head = nn.Linear(config.channels, 3 * bins)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)
        self.register_buffer("unfold", _mel_to_bins(spectrogram), persistent=False)
        #: Log gain that makes unit-power noise as loud as the mel it came from.
        self.level = math.log(spectrogram.sample_rate / self.n_fft) - 0.5 * math.log(0.375 * self.n_fft)
        #: Frames to either side that reach one output hop: the convolutions, and the overlap of the inverse STFT.
        self.context = kernel // 2 + self.stack.context + self.n_fft // self.hop_length // 2

    def excite(self, f0: Tensor, generator: torch.Generator | None = None) -> Excitation:
        """The sources of a whole utterance; F0 in Hz ``[B, F]``, a plausible value also where it is unvoiced."""
        return excite(f0, self.n_fft, self.hop_length, self.spectrogram.sample_rate, self.window, generator)

    def forward(self, mel: Tensor, f0: Tensor, voicing: Tensor, excitation: Excitation | None = None) -> Tensor:
        """``f0`` in Hz and ``voicing`` 0..1, both ``[B, F]``."""
        excitation = excitation or self.excite(f0)
        facts = torch.stack([torch.log(f0) - 5.0, voicing - 0.5], dim=1)
        h = self.norm_in(self.embed(torch.cat([mel, facts], dim=1)).transpose(1, 2))
        h = self.head(self.norm_out(self.stack(h))).transpose(1, 2)
        voiced, breathy, phase = h.chunk(3, dim=1)
        envelope = (self.unfold @ mel) + self.level
        filters = torch.exp((envelope + voiced).clamp_max(4.0))
        spectrum = torch.polar(filters, phase) * excitation.harmonic
        spectrum = spectrum + torch.exp((envelope + breathy - 1.0).clamp_max(4.0)) * excitation.noise
        return istft(spectrum, self.n_fft, self.hop_length, self.window)

    def decode_chunk(
        self, mel: Tensor, f0: Tensor, voicing: Tensor, excitation: Excitation, begin: int, end: int
    ) -> Tensor:
        """Samples ``[B, (end - begin) * hop_length]`` of frames ``[begin, end)`` of an utterance.

        Only the frames within ``context`` are computed, so a stream costs little more than one whole pass.
        """
        left, right = max(0, begin - self.context), min(mel.shape[-1], end + self.context)
        samples: Tensor = self(
            mel[:, :, left:right], f0[:, left:right], voicing[:, left:right], excitation.frames(left, right)
        )
        return samples[:, (begin - left) * self.hop_length : (end - left) * self.hop_length]


def _mel_to_bins(spectrogram: SpectrogramConfig) -> Tensor:
    """``[n_fft // 2 + 1, n_mels]``: a log-mel read at the frequency of each bin, by linear interpolation."""
    centres = mel_frequencies(spectrogram, spectrogram.n_mels + 2)[1:-1]
    bins = torch.linspace(0.0, spectrogram.sample_rate / 2, spectrogram.n_fft // 2 + 1)
    high = torch.searchsorted(centres, bins).clamp(1, spectrogram.n_mels - 1)
    part = ((bins - centres[high - 1]) / (centres[high] - centres[high - 1])).clamp(0.0, 1.0)
    weights = torch.zeros(len(bins), spectrogram.n_mels)
    weights.scatter_(1, (high - 1)[:, None], (1.0 - part)[:, None])
    return weights.scatter_add_(1, high[:, None], part[:, None])

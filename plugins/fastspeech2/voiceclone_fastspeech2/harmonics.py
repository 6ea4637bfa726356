"""The harmonic prior: what a comb of equal harmonics at a given F0 looks like in log-mel, from a table."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voiceclone.nn.spectrogram import SpectrogramConfig, mel_filterbank


class HarmonicPrior(nn.Module):
    """F0 in natural-log Hz ``[B, F]`` -> zero-mean log-mel comb ``[B, F, n_mels]``, exact to a twelfth of a semitone.

    A small network cannot draw narrow harmonics from a single number; given the comb it only has to weigh it.
    """

    table: Tensor

    def __init__(
        self, spectrogram: SpectrogramConfig, f0_min: float, f0_max: float, steps_per_octave: int = 144
    ) -> None:
        super().__init__()
        octaves = float(torch.log2(torch.tensor(f0_max / f0_min)))
        count = int(octaves * steps_per_octave) + 2
        f0 = f0_min * 2.0 ** (torch.arange(count) / steps_per_octave)
        self.register_buffer("table", _comb_table(spectrogram, f0), persistent=False)
        self.log_min = float(torch.log(torch.tensor(f0_min)))
        self.steps = steps_per_octave / float(torch.log(torch.tensor(2.0)))

    def forward(self, log_f0: Tensor) -> Tensor:
        place = ((log_f0 - self.log_min) * self.steps).clamp(0, self.table.shape[0] - 1.001)
        low = place.floor().long()
        part = (place - low)[..., None]
        return torch.lerp(self.table[low], self.table[low + 1], part)


def _comb_table(spectrogram: SpectrogramConfig, f0: Tensor) -> Tensor:
    """``[len(f0), n_mels]``: the Hann window's main lobe placed on every harmonic, through the mel filters."""
    bins = torch.linspace(0.0, spectrogram.sample_rate / 2, spectrogram.n_fft // 2 + 1)
    width = 2.0 * spectrogram.sample_rate / spectrogram.n_fft
    filters = mel_filterbank(spectrogram)
    rows = []
    for pitch in f0:
        nearest = (bins / pitch).round().clamp_min(1.0) * pitch
        distance = (bins - nearest).abs() / width
        lobe = torch.where(distance < 1.0, 0.5 + 0.5 * torch.cos(torch.pi * distance), 0.0)
        row = torch.log(lobe @ filters + 1e-3)
        rows.append(row - torch.log(torch.ones_like(lobe) @ filters * lobe.mean() + 1e-3))
    return torch.stack(rows).clamp(-4.0, 4.0)
